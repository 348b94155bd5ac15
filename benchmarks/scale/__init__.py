"""Large logs, made from a seed, and what it costs to build and to extend their warehouses."""
