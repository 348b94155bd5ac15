"""Reflection: the top-down pass in which personas question facts and scenes."""
