"""MemTree: canonical time-ordered trees over the facts of a scope, with summaries."""

from operators.memtree.index import MemTreeIndex
from operators.memtree.summary import (
    ExtractiveSummarizer,
    LeadSummarizer,
    Sentence,
    Summarizer,
    Summary,
)
from operators.memtree.tree import Leaf, MemTree, Node

__all__ = [
    "ExtractiveSummarizer",
    "LeadSummarizer",
    "Leaf",
    "MemTree",
    "MemTreeIndex",
    "Node",
    "Sentence",
    "Summarizer",
    "Summary",
]
