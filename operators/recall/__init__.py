"""Recall: scores of messages for a question, channel by channel, and their fusion."""
