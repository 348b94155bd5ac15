"""Content-hash identifiers.

An id is a function of canonical bytes and of nothing else: no clock, no counter, no
process state. Text that a model produced never goes into an id, so that the identity of
a memory does not change when a model is run again.
"""

import hashlib
from collections.abc import Iterable

_HEX_DIGITS = 32  # 128 bits: a collision is out of reach at 1e9 rows.


def canonical_bytes(parts: Iterable[str | int | bytes | None]) -> bytes:
    """Encode `parts` unambiguously: each with a type tag and its length.

    Length prefixes keep ("ab", "c") and ("a", "bc") apart, type tags keep 1 and "1" apart.
    """
    return b"".join([_encode(part) for part in parts])


def _encode(part: str | int | bytes | None) -> bytes:
    if isinstance(part, str):
        # A lone surrogate cannot come in through validated input; it must not crash here.
        data = part.encode("utf-8", "surrogatepass")
        return b"s%d:%b" % (len(data), data)
    if part is None:
        return b"n0:"
    if isinstance(part, bytes):
        return b"b%d:%b" % (len(part), part)
    digits = str(int(part)).encode("ascii")
    return b"i%d:%b" % (len(digits), digits)


def content_hash(*parts: str | int | bytes | None) -> str:
    """SHA-256 of the canonical bytes of `parts`, cut to 128 bits, as 32 hex digits."""
    return hashlib.sha256(canonical_bytes(parts)).hexdigest()[:_HEX_DIGITS]


def content_id(kind: str, *parts: str | int | bytes | None) -> str:
    """An id such as `fact_3f0c...`: the kind tells a reader, and `why`, which table it is in."""
    return f"{kind}_{content_hash(kind, *parts)}"
