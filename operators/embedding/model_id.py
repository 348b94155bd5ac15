"""Identity of the embedders, known without building or loading one."""

MODEL_ID = "all-MiniLM-L6-v2-int8@v1"
"""Stored with every vector. Raise the version when any vector changes by a bit."""

DIMENSION = 384
MAX_TOKENS = 256
"""Tokens the model was trained to read, [CLS] and [SEP] included."""

GRAPH_HASH = "40f9eebb62f17963240c6a1ffe9b2897"
"""Hash of the nodes and tensors of the built model; the tests hold the build to it."""

STATIC_MODEL_ID = "all-MiniLM-L6-v2-static@v1"
"""The token table distilled from it: other vectors, another identity."""

STATIC_TABLE_HASH = "2820a832a8fad63bee2d4adca8b5574a"
"""Hash of the table as AVX-512 VNNI kernels give it; see `static_table`."""
