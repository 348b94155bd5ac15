"""Runs of messages and the panes they come back in: the elements of the live dataflow.

Elements are coarse: all messages of one conversation that came in one poll and belong to
one session. Their rows stay where they are; a number stands for them in the dataflow, as a
token does in batch (`transforms.exchange`).
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from transforms.frame import Conversation


@dataclass(frozen=True)
class SessionRun:
    """Messages of one conversation without a long silence between them.

    Attributes:
        conversation: (tenant, conversation_id), the key.
        token: stands for the rows.
        start: event time (UTC) of the first message.
        end: event time (UTC) of the last.
    """

    conversation: Conversation
    token: int
    start: datetime
    end: datetime


class Timing(StrEnum):
    """Where the watermark was when a pane fired, as Beam's pane info tells."""

    EARLY = "early"
    ON_TIME = "on_time"
    LATE = "late"


@dataclass(frozen=True)
class SessionPane:
    """What a session window gives at one firing: the runs that are new since the last one.

    Attributes:
        conversation: (tenant, conversation_id).
        tokens: the runs of this firing, sorted; none where an on-time pane closes a session
            whose runs have all been fired before.
        start: first event time of the window.
        end: last event time of the window, without the gap.
        timing: early, on time or late.
    """

    conversation: Conversation
    tokens: tuple[int, ...]
    start: datetime
    end: datetime
    timing: Timing
