"""Live sources: logs that grow while they are read."""
