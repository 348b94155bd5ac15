"""MemTree: canonical time-ordered trees over the facts of a scope, with summaries."""

from operators.memtree.index import MemTreeIndex
from operators.memtree.llm_summary import LlmSummarizer
from operators.memtree.node_text import NodeText, Sentence, Summarizer, Written
from operators.memtree.summary import ExtractiveSummarizer, LeadSummarizer, Summary
from operators.memtree.tree import Leaf, MemTree, Node

__all__ = [
    "ExtractiveSummarizer",
    "LeadSummarizer",
    "Leaf",
    "LlmSummarizer",
    "MemTree",
    "MemTreeIndex",
    "Node",
    "NodeText",
    "Sentence",
    "Summarizer",
    "Summary",
    "Written",
]
