"""`memoryflow run` as a job of a Ray cluster: sent, followed, stopped."""
