"""What a job tells the outside while it runs: log lines, lineage events, spans."""
