"""The sentence embedder: all-MiniLM-L6-v2 with int8 arithmetic, a pure function of the text."""
