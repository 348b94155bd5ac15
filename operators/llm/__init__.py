"""Calls of language models: what is asked, by which model, and what comes back."""
