"""How a budget is shared out among layers, one method a file."""
