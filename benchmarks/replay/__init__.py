"""Compressed KV caches: how fast they answer, and how far they stray from the full cache."""
