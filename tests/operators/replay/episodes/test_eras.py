from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from operators.replay.episodes.eras import eras_of
from operators.replay.episodes.windows import Window
from tests.effort import examples

LENGTH = 10


def sessions(sizes):
    return [[window(f"s{number}", place) for place in range(size)] for number, size in sizes]


def window(session, place):
    return Window(session, (f"{session}m{place}",), ("v",), (0,), 1, np.zeros(4, np.float32))


@given(st.lists(st.integers(1, 9), max_size=60))
def test_eras_are_whole_sessions_in_order_and_of_bounded_length(sizes):
    cut = sessions(enumerate(sizes))
    eras = eras_of(cut, LENGTH)
    assert [w for era in eras for w in era] == [w for session in cut for w in session]
    for one, two in pairwise(eras):
        assert one[-1].session_id != two[0].session_id
        assert LENGTH <= len(one) < 2 * LENGTH + 9


@examples(50)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=60))
def test_what_comes_at_the_end_leaves_earlier_eras_as_they_are(sizes):
    ids = [[w.message_ids for w in era] for era in eras_of(sessions(enumerate(sizes)), LENGTH)]
    fewer = eras_of(sessions(enumerate(sizes[:-1])), LENGTH)
    assert [[w.message_ids for w in era] for era in fewer[:-1]] == ids[: len(fewer) - 1]


def test_after_a_late_session_the_ends_come_back_in_step():
    sizes = [(number, 3) for number in range(400)]
    late = [*sizes[:50], (1_000, 5), *sizes[50:]]
    ends = [era[-1].session_id for era in eras_of(sessions(sizes), LENGTH)]
    after = [era[-1].session_id for era in eras_of(sessions(late), LENGTH)]
    assert ends[-10:] == after[-10:]
    assert len(set(ends) ^ set(after)) < 0.25 * len(ends)
