from collections.abc import Iterable
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.stream.delivery import Delivery, Mark, Parcel
from jobs.stream.scheduler import Scheduler
from jobs.stream.workers import Piece
from tests.effort import examples
from tests.transforms.warehouse.rows import messages
from transforms.event_time.runs import SessionPane, Timing
from transforms.frame import conversations_of

A, B, C = (("default", name) for name in "abc")
LOG = ("log", "0")
BUILDERS = (0, 1, 2)
ANY_SIZE = 10_000_000
T = datetime(2025, 3, 1, tzinfo=UTC)


class Books:
    """A scheduler and its delivery; every parcel is one message, whose id is its token."""

    def __init__(self, *, defer: bool = False) -> None:
        self.delivery = Delivery()
        self.scheduler = Scheduler(self.delivery, defer=defer)

    def arrive(self, conversation, newest: int | None = None) -> int:
        """A parcel has been read."""
        token = self.delivery.next_token()
        rows = messages(conversation[1], {str(token): f"text {token}"})
        late = None if newest is None else [newest]
        parcel = Parcel(token, conversation, rows, 0.0, "log", late)
        self.delivery.register(LOG, Mark(str(token), None), [parcel])
        return token

    def add(self, conversation, **more) -> int:
        token = self.arrive(conversation)
        self.scheduler.add_tokens(conversation, [token], **more)
        return token

    def next(self, *idle: int, size: int = ANY_SIZE) -> dict[int, Piece]:
        return dict(self.scheduler.next_pieces(idle, size))

    def commit(self, *pieces: Piece) -> None:
        self.delivery.settle(token for piece in pieces for token in piece.tokens)
        self.scheduler.committed(pieces)


def ids(rows: pa.Table) -> list[int]:
    return sorted(int(found) for found in rows["message_id"].to_pylist())


def names(pieces: Iterable[Piece]) -> list[tuple[str, str]]:
    return sorted(conversation for piece in pieces for conversation in piece.conversations)


@examples(60)
@given(st.data())
def test_everything_is_built_once_and_no_conversation_twice_at_a_time(data: st.DataObject) -> None:
    books = Books()
    added: list[int] = []
    built: list[int] = []
    at_work: dict[int, Piece] = {}  # By builder.
    uncommitted: list[Piece] = []  # Built; their builders may go on.

    def hand_out(idle: list[int], size: int) -> None:
        being_built = set(names([*at_work.values(), *uncommitted]))
        pieces = books.next(*idle, size=size)
        assert set(pieces) <= set(idle)
        given_out = names(pieces.values())
        assert len(given_out) == len(set(given_out))
        assert not being_built & set(given_out)
        for builder, piece in pieces.items():
            assert piece.conversations
            assert ids(piece.incoming) == sorted(piece.tokens)
            assert set(conversations_of(piece.incoming)) == set(piece.conversations)
            built.extend(piece.tokens)
            at_work[builder] = piece

    conversations = [("default", f"c{number}") for number in range(6)]
    for _ in range(data.draw(st.integers(1, 25))):
        action = data.draw(st.sampled_from(["add", "add", "hand out", "built", "commit"]))
        idle = [builder for builder in BUILDERS if builder not in at_work]
        if action == "add":
            token = books.add(data.draw(st.sampled_from(conversations)))
            added.append(token)
            books.scheduler.add_tokens(conversations[0], [token])  # Again: nothing happens.
        elif action == "hand out":
            hand_out(idle, data.draw(st.sampled_from([1, ANY_SIZE])))
        elif action == "built" and at_work:
            uncommitted.append(at_work.pop(data.draw(st.sampled_from(sorted(at_work)))))
        elif action == "commit":
            books.commit(*uncommitted)
            uncommitted.clear()
        assert books.scheduler.empty == (sorted(added) == sorted(built))
    while at_work or uncommitted or not books.scheduler.empty:
        books.commit(*at_work.values(), *uncommitted)
        at_work.clear()
        uncommitted.clear()
        hand_out(list(BUILDERS), ANY_SIZE)
    assert sorted(built) == added
    assert books.scheduler.taken == {}
    assert books.delivery.messages == 0


def test_flags() -> None:
    books = Books()
    scheduler = books.scheduler
    assert scheduler.empty

    first = books.add(A)
    assert not scheduler.empty
    piece = books.next(0)[0]
    assert scheduler.empty
    assert books.next(0, 1) == {}

    second = books.add(A)
    assert not scheduler.empty
    assert books.next(1) == {}
    books.add(B)
    assert names(books.next(1).values()) == [B]
    assert set(scheduler.taken) >= {first, second}

    books.commit(piece)
    assert first not in scheduler.taken
    assert books.next(0)[0].tokens == (second,)


def test_what_is_settled_or_unknown_is_not_built_again() -> None:
    books = Books()
    token = books.add(A)
    books.commit(books.next(0)[0])
    books.scheduler.add_tokens(A, [token, 99])
    assert books.scheduler.empty


def test_stale_conversations_count_until_they_are_committed() -> None:
    books = Books()
    assert books.scheduler.all_current
    books.scheduler.add_stale([A, B])
    token = books.add(A)
    piece = books.next(0)[0]
    assert set(piece.refreshed) == {A, B}
    assert piece.tokens == (token,)
    assert not books.scheduler.all_current
    books.commit(piece)
    assert books.scheduler.all_current


def test_a_builder_gets_what_it_built_and_knows_with_which_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    books = Books()
    for conversation in (A, B):
        books.add(conversation)
    first = books.next(0, 1)
    assert names(first.values()) == [A, B]
    assert {piece.built_by for piece in first.values()} == {(0,)}
    homes = {piece.conversations[0]: builder for builder, piece in first.items()}
    books.commit(*first.values())

    for conversation in (B, A):
        books.add(conversation)
    again = books.next(1, 0)
    assert {piece.conversations[0]: builder for builder, piece in again.items()} == homes
    for builder, piece in again.items():
        assert piece.built_by == (first[builder].serial,)
    books.commit(*again.values())

    # Its own builder is busy: another one does it rather than wait, if it is much.
    books.add(A)
    stranger = 1 - homes[A]
    assert books.next(stranger) == {}
    monkeypatch.setattr("jobs.stream.scheduler._SMALLEST_PIECE", 1)
    piece = books.next(stranger)[stranger]
    assert piece.built_by == (again[homes[A]].serial,)
    books.commit(piece)

    books.scheduler.forget_builds()
    books.add(A)
    assert books.next(0)[0].built_by == (0,)


def test_only_what_its_session_does_not_close_is_deferred() -> None:
    books = Books(defer=True)
    for conversation, timing in ((A, Timing.EARLY), (B, Timing.ON_TIME), (C, Timing.LATE)):
        token = books.arrive(conversation)
        books.scheduler.add_pane(SessionPane(conversation, (token,), T, T, timing))
    piece = books.next(0)[0]
    assert piece.deferred == {A}
    assert set(piece.refreshed) == {B, C}
    books.commit(piece)

    # A session that closes without anything new is consolidated all the same.
    books.scheduler.add_pane(SessionPane(A, (), T, T, Timing.ON_TIME))
    piece = books.next(0)[0]
    assert (piece.refreshed, piece.deferred, piece.tokens) == ((A,), frozenset(), ())


def test_without_deferral_a_close_without_news_is_no_work() -> None:
    books = Books()
    books.scheduler.add_pane(SessionPane(A, (), T, T, Timing.ON_TIME))
    assert books.scheduler.empty


def test_too_late_rows_go_apart() -> None:
    books = Books()
    on_time = books.add(A)
    late = books.arrive(A, newest=7)
    books.scheduler.add_tokens(A, [late])
    piece = books.next(0)[0]
    assert ids(piece.incoming) == [on_time]
    assert piece.too_late is not None
    assert ids(piece.too_late.rows) == [late]
    assert (list(piece.too_late.newest), list(piece.too_late.sources)) == ([7], ["log"])
    assert set(piece.tokens) == {on_time, late}
