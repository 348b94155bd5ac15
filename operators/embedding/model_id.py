"""Identity of the embedder, known without building or loading it."""

MODEL_ID = "all-MiniLM-L6-v2-int8@v1"
"""Stored with every vector. Raise the version when any vector changes by a bit."""

DIMENSION = 384
MAX_TOKENS = 256
"""Tokens the model was trained to read, [CLS] and [SEP] included."""

GRAPH_HASH = "40f9eebb62f17963240c6a1ffe9b2897"
"""Hash of the nodes and tensors of the built model; the tests hold the build to it."""
