"""Answers from the raw history: episodes of a conversation as compressed KV caches."""
