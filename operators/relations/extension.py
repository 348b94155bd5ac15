"""`extends`: new information about what an earlier statement speaks of.

PREMem's extension, Keep Me Updated's PASS with a link. The weakest relation: it holds where
no other does, and asks for topic words that few statements of the conversation share.
"""

from operators.relations.verdict import Pair, Verdict

_COSINE, _CLOSE = 0.45, 0.65
_NEW = 2


def same_topic(pair: Pair) -> Verdict | None:
    """Both state something with rare topic words or a rare name in common."""
    one, other = pair.earlier, pair.later
    if pair.cosine < _COSINE or one.message_id == other.message_id:
        return None
    if len(other.stated - one.stated) < _NEW:
        return None
    common = one.telling & other.telling & one.stated & other.stated
    if not common:
        return None
    if common & one.names & other.names:
        return Verdict("extends", pair.cosine, "shared_name")
    if len(common) >= 2 or pair.cosine >= _CLOSE:
        return Verdict("extends", pair.cosine, "shared_words")
    return None
