"""Personas: what a conversation shows of its people, over all sessions."""
