"""Engines: what runs a language model, or reaches one, behind one interface."""
