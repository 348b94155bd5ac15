"""Engines that answer from stored caches."""
