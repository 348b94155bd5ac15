"""Declared pipelines: the YAML files, their typed spec, the plan and its compilation."""
