"""`memoryflow doctor`: whether everything is in place here, and what to do where it is not."""
