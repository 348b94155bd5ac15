"""Dataflow steps: what each reads and writes, its key, and the operator that computes it."""
