"""Answers from the raw history: building caches, and asking them."""
