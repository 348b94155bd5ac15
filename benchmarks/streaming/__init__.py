"""Streaming measured: throughput, freshness, memory, restart, kills."""
