"""Stored vectors: their key, and columns of them as matrices."""

from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from operators.base import Vectors
from operators.frames import SCOPE, values
from schemas.ids import content_hash

_STEPS = 4000
"""Steps of a component between 0 and 1 in `similarities`; its square is below 2**24."""


def text_hash(text: str) -> str:
    """The key of a text in the table `embeddings`."""
    return content_hash("text", text)


def matrix(column: "pa.ChunkedArray[Any]") -> Vectors:
    """A column of equally long vectors as a matrix (rows, dimensions)."""
    array = cast("Any", column.combine_chunks())
    flat: npt.NDArray[np.float32] = array.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(array), -1) if len(array) else np.zeros((0, 0), np.float32)


def exact_dots(one: Vectors, many: Vectors) -> npt.NDArray[np.float64]:
    """Dot products of one vector with each row of a matrix, the same bits in any batch.

    BLAS may sum in another order for another shape or machine. Here the products are exact
    (float32 x float32 fits float64) and the halves of each row are added to each other until
    one column is left, which uses elementwise IEEE additions only.
    """
    products = many.astype(np.float64) * one.astype(np.float64)
    width = products.shape[1]
    while width > 1:
        half = width // 2
        folded = products[:, :half] + products[:, half : 2 * half]
        if width % 2:
            folded[:, 0] += products[:, -1]
        products, width = folded, half
    return products[:, 0] if width else np.zeros(len(many))


def similarities(one: Vectors, other: Vectors) -> Vectors:
    """Cosines of all rows of two matrices of unit vectors, the same bits in any batch.

    Shape (len(one), len(other)), float32, within 6e-4 of the true cosine. Components are
    rounded to multiples of 1/4000. A partial sum of products is then an integer below
    4000**2 < 2**24 in magnitude (Cauchy-Schwarz; rounding adds less than the slack), which
    float32 holds exactly: whatever order BLAS sums in, on any machine, nothing is rounded.
    """
    return _cosines(_steps(one), _steps(other))


class Similarities:
    """`similarities` of rows of one matrix, part by part: it is rounded once."""

    def __init__(self, vectors: Vectors) -> None:
        self._steps = _steps(vectors)

    def of(self, rows: slice, known: int) -> Vectors:
        """Of some rows with the first `known`."""
        return _cosines(self._steps[rows], self._steps[:known])

    def with_others(self, others: "Similarities", rows: slice, known: int) -> Vectors:
        """Of some rows of another matrix with the first `known` of this one."""
        return _cosines(others._steps[rows], self._steps[:known])


def _steps(vectors: Vectors) -> Vectors:
    return np.rint(vectors * np.float32(_STEPS)).astype(np.float32)


def _cosines(left: Vectors, right: Vectors) -> Vectors:
    dots: Vectors = left @ right.T
    dots /= np.float32(_STEPS**2)
    return dots


class TextVectors:
    """The table `embeddings` by conversation and text.

    Raises `ValueError` for a text without a vector, or with vectors of two models.
    """

    def __init__(self, table: pa.Table) -> None:
        names = [values(table, name) for name in (*SCOPE, "text_hash")]
        self._row: dict[tuple[str, str, str], int] = {}
        for row, key in enumerate(zip(*names, strict=True)):
            if self._row.setdefault(key, row) != row:
                raise ValueError(
                    f"conversation {key[1]!r} has vectors of two models for one text; "
                    "give the step the embeddings of one model"
                )
        self._matrix = matrix(table.column("vector"))

    def check(self, scope: tuple[Any, ...], texts: list[str]) -> None:
        """Raise where a text has no vector."""
        for text in texts:
            self._find(scope, text)

    def get(self, scope: tuple[Any, ...], texts: list[str]) -> Vectors:
        """The vectors of the texts, one a row."""
        return self._matrix[[self._find(scope, text) for text in texts]]

    def _find(self, scope: tuple[Any, ...], text: str) -> int:
        row = self._row.get((scope[0], scope[1], text_hash(text)))
        if row is None:
            raise ValueError(
                f"no vector for a text of conversation {scope[1]!r} ({text[:60]!r}); "
                "the step needs an embed step over facts.text before it"
            )
        return row
