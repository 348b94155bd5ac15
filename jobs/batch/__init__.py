"""The batch build on Ray: read, partition by conversation, build slices, commit."""
