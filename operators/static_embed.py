"""Vectors of the texts of memory, by a token table distilled from the packaged MiniLM."""

from typing import ClassVar, Literal

from operators.embedding.model_id import STATIC_MODEL_ID
from operators.text_embed import TextEmbed


class StaticEmbed(TextEmbed, frozen=True):
    """Embed every distinct text as the weighted mean of its tokens: fast, and less exact.

    Method: Model2Vec over all-MiniLM-L6-v2 with the weights of SIF, 384 dimensions; see
    `operators.embedding.static`. About forty times as fast as `minilm_int8`, and computed by
    the workers themselves, without embedder actors and journal. Order of words counts for
    nothing: "Ana told Ben" is "Ben told Ana". Input, output, errors and cost are those of
    `TextEmbed`.
    """

    operator: Literal["static_minilm"] = "static_minilm"

    MODEL_ID: ClassVar[str] = STATIC_MODEL_ID
