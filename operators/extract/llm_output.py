"""What a model answers about a few lines of conversation: the facts it finds in them.

The JSON schema of these classes is part of every call's key. Only the first three fields of a
fact are demanded: a model leaves out what it has nothing for, which saves output tokens.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

MAX_LINES = 99
MAX_FACTS = 12

_Line = Annotated[int, Field(ge=1, le=MAX_LINES)]
_Name = Annotated[str, Field(max_length=60)]
_Topic = Annotated[str, Field(max_length=40)]


class FoundFact(BaseModel):
    """A fact; "" and empty lists where there is nothing to say.

    Attributes:
        line: number of the line that says it.
        text: the statement, self-contained.
        kind: as in `facts.kind`.
        quote: words of the line, verbatim.
        time_text: the words that tell when.
        start: first day, YYYY-MM-DD; YYYY-MM and YYYY are understood.
        end: last day, if it is not the first.
        subject: what the attribute is about.
        attribute: what is told of it.
        value: the attribute's value.
        entities: names in the statement.
        topics: what it is about.
        also: further lines it rests on.
    """

    line: _Line
    text: str = Field(max_length=400)
    kind: Literal["factual", "experiential", "subjective"]
    quote: str = Field(default="", max_length=160)
    time_text: str = Field(default="", max_length=80)
    start: str = Field(default="", max_length=10)
    end: str = Field(default="", max_length=10)
    subject: str = Field(default="", max_length=80)
    attribute: str = Field(default="", max_length=40)
    value: str = Field(default="", max_length=120)
    entities: list[_Name] = Field(default_factory=list[str], max_length=8)
    topics: list[_Topic] = Field(default_factory=list[str], max_length=3)
    also: list[_Line] = Field(default_factory=list[int], max_length=4)


class FoundFacts(BaseModel):
    """All facts of the lines; an empty list where they say nothing to remember."""

    facts: list[FoundFact] = Field(max_length=MAX_FACTS)
