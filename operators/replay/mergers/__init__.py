"""What becomes of the tokens that are not kept, one method a file."""
