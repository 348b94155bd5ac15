"""Verdicts of a model on pairs of facts: which pairs, what is asked, and how it is read back."""
