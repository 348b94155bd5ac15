"""Vectors of the texts of memory, by the packaged MiniLM."""

from typing import ClassVar, Literal

from operators.embedding.model_id import MODEL_ID
from operators.text_embed import TextEmbed


class MiniLmEmbed(TextEmbed, frozen=True):
    """Embed every distinct text of a conversation.

    Method: sentence embedding with all-MiniLM-L6-v2 (Reimers & Gurevych, EMNLP 2019,
    arXiv 1908.10084), quantised to int8, 384 dimensions. Input, output, errors and cost are
    those of `TextEmbed`.
    """

    operator: Literal["minilm_int8"] = "minilm_int8"

    MODEL_ID: ClassVar[str] = MODEL_ID
