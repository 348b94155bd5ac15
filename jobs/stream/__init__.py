"""`memoryflow stream`: live logs in, the same memory out."""
