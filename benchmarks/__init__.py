"""Measurements as commands; figures are ratios within one run on one machine."""
