"""Conversations into topical episodes, and episodes into tokens."""
