"""Measurements of long logs, skew and several nodes, as commands."""
