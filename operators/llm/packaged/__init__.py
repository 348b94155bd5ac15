"""Models that come from the package registry: weights without a model hub."""
