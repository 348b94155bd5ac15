"""Which scored tokens are kept, one rule a file."""
