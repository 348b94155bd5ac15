"""How kept tokens are scored, one method a file."""
