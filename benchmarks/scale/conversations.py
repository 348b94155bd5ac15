"""Invented conversations, each a function of its key and number: who talks, when, about what."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from random import Random
from typing import Any

from benchmarks.scale import sentences
from benchmarks.scale.sentences import Compiled
from benchmarks.scale.words import LISTS, TOPICS

CAP = 20_000
"""Messages of the largest conversation, at most."""

_MEAN = 100  # messages of a conversation
_SMALLEST = 30  # before sizes are scaled to the wanted sum
_EXPONENT = 0.7  # of Zipf's law
_BEGIN = int(datetime(2023, 1, 2, tzinfo=UTC).timestamp())
_HOUR, _DAY = 3600, 86_400
_SPAN = 700 * _DAY  # a conversation lasts about so long, however many sessions it has
_TENANTS = ("default", "default", "default", "acme", "borealis")
_ASSISTANT = "assistant"

Line = dict[str, Any]


def sizes(messages: int) -> list[int]:
    """Messages of each conversation, largest first: Zipf's law up to `CAP`, `messages` in all."""
    count = max(1, round(messages / _MEAN))
    raw = [_SMALLEST * (count / rank) ** _EXPONENT for rank in range(1, count + 1)]
    scale = messages / sum(raw)
    out = [min(CAP, max(1, int(size * scale))) for size in raw]
    left = messages - sum(out)
    at = len(out) - 1
    while left > 0:  # What rounding and the cap have taken goes to the smaller ones.
        share = min(left, CAP - out[at], max(1, left // (at + 1)))
        out[at] += share
        left -= share
        at = at - 1 if at else len(out) - 1
    return out


@dataclass(frozen=True)
class Conversation:
    """One conversation.

    Args:
        key: of the log; another key is another log.
        number: 1 is the largest.
        size: messages of the log that it holds; its sessions go on for ever.
    """

    key: str
    number: int
    size: int
    _rng: Random = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rng", Random(f"{self.key}/{self.number}"))

    @property
    def conversation_id(self) -> str:
        """Its id."""
        return f"c{self.number:06d}"

    @cached_property
    def _cast(self) -> "_Cast":
        return _Cast.of(self._rng)

    def starts(self) -> Iterator[tuple[int, int]]:
        """Second and number of messages of each session, without end."""
        draw = Random(f"{self.key}/{self.number}/times").random
        sessions = max(1, self.size / 14)
        mean = min(12 * _DAY, max(2 * _HOUR, _SPAN / sessions - 8 * _HOUR))
        at = _BEGIN + int(draw() * (200 if self.size < 5_000 else 5) * _DAY)
        while True:
            yield at, 4 + int(20 * draw() ** 1.3)
            # Now and then a pause of less than the gap between sessions: one session, then.
            short = draw() < 0.05
            at += 2 * _HOUR if short else 8 * _HOUR + int(mean * (0.1 + 1.8 * draw()))

    def sessions(self) -> Iterator[tuple[int, int, int]]:
        """Number, second and messages of the sessions of the log."""
        left = self.size
        for session, (at, count) in enumerate(self.starts()):
            yield session, at, min(count, left)
            left -= count
            if left <= 0:
                return

    def later(self, which: int) -> list[Line]:
        """The `which`th session after the log's end, from 1 on."""
        left = self.size
        for session, (at, count) in enumerate(self.starts()):
            if left <= 0:
                which -= 1
                if which == 0:
                    return self.messages(session, at, count)
            left -= count
        raise AssertionError("sessions do not end")

    def messages(self, session: int, at: int, count: int) -> list[Line]:
        """The messages of a session, in order."""
        cast = self._cast
        writer = _Writer(cast, Random(f"{self.key}/{self.number}/{session}"), session)
        base: Line = {"conversation_id": self.conversation_id}
        if cast.tenant != "default":
            base["tenant"] = cast.tenant
        if self.number % 4 == 0:
            base["session_id"] = f"{self.conversation_id}-s{session}"
        out: list[Line] = []
        for index, (speaker, text) in enumerate(writer.turns(count)):
            at += writer.pause()
            line = {
                **base,
                "message_id": f"{self.conversation_id}-{session}-{index}",
                "speaker": speaker,
                "timestamp": datetime.fromtimestamp(at, UTC).isoformat(),
                "text": text,
            }
            if cast.assistant:
                line["role"] = "assistant" if speaker == _ASSISTANT else "user"
            out.append(line)
        return out


def _some(rng: Random, values: Sequence[str], count: int) -> tuple[str, ...]:
    """Different ones, in a random order. Only `random()` is drawn: it is the same everywhere."""
    pool = list(values)
    return tuple(pool.pop(int(rng.random() * len(pool))) for _ in range(count))


@dataclass(frozen=True)
class _Cast:
    """Who talks, whom they know, and what they talk about; the same in all sessions."""

    assistant: bool
    speakers: tuple[str, ...]
    friends: tuple[str, ...]
    topics: tuple[str, ...]
    tenant: str
    offsets: tuple[int, ...]

    @classmethod
    def of(cls, rng: Random) -> "_Cast":
        """Drawn once."""
        assistant = rng.random() < 0.3
        count = 1 if assistant else 2 + int(3 * rng.random() ** 3)
        people = _some(rng, LISTS["NAMES"], count + 8)
        return cls(
            assistant,
            people[:count],
            people[count:],
            _some(rng, list(TOPICS), 5),
            _TENANTS[int(rng.random() * len(_TENANTS))],
            tuple(int(rng.random() * 1_000_000) for _ in range(12)),
        )

    def lists(self, speaker: int, session: int, topic: str) -> Mapping[str, Sequence[str]]:
        """What a speaker's slots are filled from in a session: their life changes slowly."""
        told = TOPICS[topic]

        def own(slot: int, values: Sequence[str], sessions: int = 1_000_000) -> tuple[str, ...]:
            offset = self.offsets[slot] + 31 * speaker + 7 * (session // sessions)
            return (values[offset % len(values)],)

        (month,) = own(11, LISTS["MONTHS"])
        return {
            **LISTS,
            **told,
            "tip_plain": told["tip"],
            "ask": ("finish", "sort out", "forget about", "postpone", "enjoy"),
            "friend": self.friends[:5],
            "other_friend": self.friends[5:],
            "city": own(0, LISTS["CITIES"], 60),
            "employer": own(1, LISTS["EMPLOYERS"], 40),
            "job": own(2, LISTS["JOBS"], 80),
            "diet": own(3, LISTS["DIETS"], 90),
            "allergy": own(4, LISTS["ALLERGIES"]),
            "pet": own(5, LISTS["PETS"]),
            "pet_name": own(6, LISTS["PET_NAMES"]),
            "other_pet": own(6, LISTS["PET_NAMES"][::-1]),
            "relative": own(7, LISTS["RELATIVES"]),
            "relative_name": own(8, self.friends),
            "relative_city": own(9, LISTS["CITIES"], 120),
            "birthday": (f"{1 + self.offsets[10] % 28} {month}",),
            "day": tuple(str(day) for day in range(1, 29)),
        }


class _Writer:
    """Turns of one session."""

    def __init__(self, cast: _Cast, rng: Random, session: int):
        self._cast = cast
        self._draw = rng.random
        topic = cast.topics[int(self._draw() * len(cast.topics))]
        people = range(len(cast.speakers))
        self._lists = [cast.lists(speaker, session, topic) for speaker in people]

    def pause(self) -> int:
        """Seconds before the next message."""
        return 15 + int(400 * self._draw() ** 3)

    def turns(self, count: int) -> Iterator[tuple[str, str]]:
        """Speaker and text of `count` messages."""
        speaker = int(self._draw() * len(self._cast.speakers))
        for index in range(count):
            if self._cast.assistant:
                yield self._with_assistant(index)
                continue
            lists = self._lists[speaker]
            if index == 0:
                text = self._joined(lists, sentences.GREETINGS, sentences.QUESTION)
            elif index == count - 1:
                text = self._joined(lists, sentences.REACTIONS, sentences.CLOSINGS)
            else:
                text = self._told(lists)
            yield self._cast.speakers[speaker], text
            if self._draw() < 0.85:  # Else the same one goes on.
                step = 1 + int(self._draw() * (len(self._cast.speakers) - 1))
                speaker = (speaker + step) % len(self._cast.speakers)

    def _told(self, lists: Mapping[str, Sequence[str]]) -> str:
        what = self._draw()
        if what < 0.12:
            return self._joined(lists, sentences.REACTIONS)
        parts: list[Sequence[Compiled]] = [sentences.REACTIONS] if what < 0.45 else []
        parts.append(sentences.FACT if self._draw() < 0.22 else sentences.STATEMENT)
        while self._draw() < 0.4:
            parts.append(sentences.STATEMENT)
        if self._draw() < 0.3:
            parts.append(sentences.QUESTION)
        return self._joined(lists, *parts)

    def _with_assistant(self, index: int) -> tuple[str, str]:
        lists = self._lists[0]
        if index % 2 == 0:
            parts = [sentences.REQUEST]
            if self._draw() < 0.4:
                parts.insert(0, sentences.FACT)
            if self._draw() < 0.3:
                parts.insert(0, sentences.STATEMENT)
            return self._cast.speakers[0], self._joined(lists, *parts)
        count = 2 + int(9 * self._draw() ** 2)
        return _ASSISTANT, self._joined(lists, sentences.OPEN, *[sentences.ADVISE] * count)

    def _joined(self, lists: Mapping[str, Sequence[str]], *kinds: Sequence[Compiled]) -> str:
        draw = self._draw
        out: list[str] = []
        last, at = None, 0
        for kind in kinds:
            if out:
                out.append(" ")
            if kind is last:  # Not the same sentence again.
                at = (at + 1 + int(draw() * (len(kind) - 1))) % len(kind)
            else:
                last, at = kind, int(draw() * len(kind))
            for text, slot in kind[at]:
                out.append(text)
                if slot:
                    choices = lists[slot]
                    out.append(choices[int(draw() * len(choices))])
        return "".join(out)
