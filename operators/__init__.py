"""How one thing is computed: pure operators, Arrow in and Arrow out, one method a file."""
