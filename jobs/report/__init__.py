"""`memoryflow report`: one HTML file about a run and the memory it left, that needs no network."""
