"""Which rows of `runs` tell by what plan the memory was built.

A module of its own, which imports nothing: `memoryflow status` is to be quick.
"""

BUILDS = "job IN ('run', 'stream', 'consolidate')"
"""Condition in SQL."""
