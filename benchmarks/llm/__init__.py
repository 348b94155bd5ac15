"""Language models for measurements: a simulated endpoint, and what is measured on it."""
