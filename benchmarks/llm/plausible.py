"""Plausible answers without a model: valid for a JSON schema, near-verbatim, deterministic.

What a field holds is decided by its schema and its name. Item k of an array of objects is
about the k-th numbered line of the prompt that says something.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchmarks.llm.lines import Line, cut, draw, first_date, numbered_lines

_NAMES_OF_NUMBERS = """
    line pair scene person statement number fact message index turn item node session trait
    evidence source episode memory child sentence group n i id no
"""
_NUMBER_NAMES = frozenset(_NAMES_OF_NUMBERS.split())
_TEXT_NAMES = ("text", "summary", "content", "fact", "statement", "description", "memory", "reason")
_WORDS_OF_A_LINE = (
    *("subject", "speaker", "person", "name", "entity"),
    *("attribute", "value", "object", "key", "keyword"),
)
_LISTS_OF_TEXTS = ("facts", "memories", "statements", "sentences", "summaries")
_MOST_WORDS = 4
_LISTS_OF_WORDS = ("entities", "topics", "keywords", "people")
_LIST_NAMES_OF_NAMES = ("entit", "people", "person", "name", "participant")
_NEUTRAL_VALUES = """
    unrelated none consistent neutral no keep keeps kept unknown other unclear fits supported
    independent different distinct unchanged ignore agree agrees holds
"""
_NEUTRAL = frozenset(_NEUTRAL_VALUES.split())
_TEXT_LENGTHS = (160, 100, 60, 30)
_ITEMS = 40
_WORDS_OF_A_TITLE = 6
_CHARS_PER_TOKEN = 2.5  # WordPiece on JSON: low, so that an answer is not cut off


def plausible_answer(
    turns: Sequence[tuple[str, str]], schema: dict[str, Any], max_tokens: int
) -> str:
    """JSON text that is valid for the schema and made of the prompt's numbered lines.

    Texts, then lists, are shortened until the answer fits into `max_tokens` by a cautious
    estimate. Deterministic in the arguments.
    """
    seed = f"{draw(*(part for turn in turns for part in turn), json.dumps(schema)):x}"
    lines = numbered_lines(turns) or [Line(1, "", "nothing was said")]
    written = ""
    for length, items in _sizes():
        filler = _Filler(schema, lines, seed, length, items)
        written = json.dumps(filler.answer(), ensure_ascii=False, separators=(",", ":"))
        if len(written) <= max_tokens * _CHARS_PER_TOKEN:
            break
    return written


def _sizes() -> Iterator[tuple[int, int]]:
    """Ever smaller (characters of a text, items of a list)."""
    for length in _TEXT_LENGTHS:
        yield length, _ITEMS
    items = _ITEMS // 2
    while items:
        yield _TEXT_LENGTHS[-1], items
        items //= 2


class _Filler:
    """Fills one schema from the lines of one prompt."""

    def __init__(
        self, schema: dict[str, Any], lines: list[Line], seed: str, length: int, items: int
    ) -> None:
        self._schema = schema
        self._lines = lines
        self._seed = seed
        self._length = length
        self._items = items
        self._fillers: dict[str, Callable[..., Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": self._number,
            "boolean": self._boolean,
        }

    def answer(self) -> Any:
        return self._value(self._schema, "", None, "")

    def _value(self, schema: dict[str, Any], name: str, line: Line | None, path: str) -> Any:
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._choice(schema["enum"], path)
        if options := schema.get("anyOf") or schema.get("oneOf"):
            return self._option(options, name, line, path)
        fill = self._fillers.get(self._type(schema))
        return fill(schema, name, line, path) if fill else None

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema or len(schema.get("allOf", ())) == 1:
            if "$ref" in schema:
                target: Any = self._schema
                for part in schema["$ref"].removeprefix("#/").split("/"):
                    target = target[part.replace("~1", "/").replace("~0", "~")]
                schema = {**target, **{k: v for k, v in schema.items() if k != "$ref"}}
            else:
                schema = {**schema["allOf"][0], **{k: v for k, v in schema.items() if k != "allOf"}}
        return schema

    @staticmethod
    def _type(schema: dict[str, Any]) -> str:
        if schema.keys() & {"anyOf", "oneOf", "enum", "const"}:
            return "choice"
        told = schema.get("type", "object" if "properties" in schema else "string")
        return next((t for t in told if t != "null"), "null") if isinstance(told, list) else told

    def _choice(self, values: list[Any], path: str) -> Any:
        neutral = [value for value in values if str(value).casefold() in _NEUTRAL]
        number = draw(self._seed, path)
        if neutral and number % 4:
            return neutral[0]
        return values[number // 4 % len(values)]

    def _option(
        self, options: list[dict[str, Any]], name: str, line: Line | None, path: str
    ) -> Any:
        """Null where that will do, unless the line tells a date that is asked for."""
        resolved = [self._resolved(option) for option in options]
        kept = [option for option in resolved if option.get("type") != "null"]
        told = any(_is_date(option, name) for option in kept) and line and line.date
        if not kept or (len(kept) < len(resolved) and not told):
            return None
        return self._value(kept[0], name, line, path)

    def _object(
        self, schema: dict[str, Any], _name: str, line: Line | None, path: str
    ) -> dict[str, Any]:
        properties: dict[str, Any] = schema.get("properties", {})
        demanded = schema.get("required", list(properties))
        return {
            name: self._value(inner, name, line, f"{path}/{name}")
            for name, inner in properties.items()
            if name in demanded or self._worth_it(self._resolved(inner), name, line)
        }

    def _worth_it(self, schema: dict[str, Any], name: str, line: Line | None) -> bool:
        """Whether the lines give something for a field that may be left out."""
        if _is_date(schema, name):
            return line is not None and line.date is not None and name != "end"
        if self._type(schema) == "string":
            return "quote" in name or name in _TEXT_NAMES
        items = self._resolved(schema.get("items", {}))
        return name in _LISTS_OF_WORDS and bool(self._strings(items, name, line, 0, 1))

    def _array(self, schema: dict[str, Any], name: str, line: Line | None, path: str) -> list[Any]:
        if "prefixItems" in schema:
            inner = enumerate(schema["prefixItems"])
            return [self._value(one, name, line, f"{path}/{at}") for at, one in inner]
        item = self._resolved(schema.get("items", {"type": "string"}))
        least = schema.get("minItems", 0)
        most = max(least, min(schema.get("maxItems", self._items), self._items))
        match self._type(item):
            case "integer":
                return self._numbers(item, line, least, most)
            case "string" if not item.keys() & {"pattern", "format"}:
                return self._strings(item, name, line, least, most)
            case _:
                about = self._about(line, least, most, every=_is_judgement(item))
                return [
                    self._value(item, name, one, f"{path}/{at}") for at, one in enumerate(about)
                ]

    def _about(
        self, line: Line | None, least: int, most: int, *, every: bool = False
    ) -> list[Line]:
        """What the items of an array are about: each line that says something, in order.

        Judgements are given on `every` line, however short.
        """
        if line is not None:
            chosen = [line][:most]
        else:
            chosen = [one for one in self._lines if every or len(one.words) >= 4][:most]
        at = 0
        while len(chosen) < least:
            chosen.append(self._lines[at % len(self._lines)])
            at += 1
        return chosen

    def _numbers(self, item: dict[str, Any], line: Line | None, least: int, most: int) -> list[int]:
        ordered = self._lines
        if line is not None:  # It, and what stands after it where more are asked for.
            at = next(i for i, one in enumerate(ordered) if one.number == line.number)
            ordered, most = [*ordered[at:], *ordered[:at]], max(least, 1)
        numbers = list(dict.fromkeys(_within(item, one.number) for one in ordered))
        numbers += [numbers[-1]] * (least - len(numbers))
        return numbers[: min(most, max(least, 3))]

    def _strings(
        self, item: dict[str, Any], name: str, line: Line | None, least: int, most: int
    ) -> list[str]:
        lines = [line] if line else self._lines
        enough = min(most, _MOST_WORDS)
        if name in _LISTS_OF_TEXTS:
            words = [cut(one.statement, self._length) for one in self._about(line, least, most)]
            enough = most
        elif name.startswith(_LIST_NAMES_OF_NAMES):
            words = [word for one in lines for word in one.names]
        else:
            words = [word for one in lines for word in (*one.long_words, *one.names)]
        shortest, longest = item.get("minLength", 0), item.get("maxLength", self._length)
        fitting = dict.fromkeys(cut(word, longest).ljust(shortest, ".") for word in words)
        bounded = list(fitting)[: max(least, enough)]
        fillers = [f"part {n}"[:longest].ljust(shortest, ".") for n in range(least)]
        return bounded + fillers[len(bounded) :]

    def _string(self, schema: dict[str, Any], name: str, line: Line | None, _path: str) -> str:
        if _is_date(schema, name):
            text = self._date(schema, line)[: schema.get("maxLength")]
        else:
            text = self._told(schema, name.casefold(), line)
        if (pattern := schema.get("pattern")) and not re.search(pattern, text):
            day = self._day(line)
            candidates = (*("", "a", "1", "A", "a_b"), day, day[:7], day[:4], f"{day}T00:00:00Z")
            text = next((one for one in candidates if re.search(pattern, one)), text)
        return text.ljust(schema.get("minLength", 0), ".")

    def _told(self, schema: dict[str, Any], name: str, line: Line | None) -> str:
        limit = schema.get("maxLength", 10_000)
        first = line or self._lines[0]
        if "quote" in name or name in ("span", "evidence"):
            return cut(first.sentence, min(limit, self._length))
        if "title" in name or "topic" in name or "theme" in name:
            return cut(" ".join(first.words[:_WORDS_OF_A_TITLE]), limit)
        if name in _WORDS_OF_A_LINE:
            return cut(_word(name, first), limit)
        if line is None:
            return self._retold(min(limit, 2 * self._length))
        length = self._length if any(part in name for part in _TEXT_NAMES) else 60
        return cut(first.statement, min(limit, length))

    def _retold(self, limit: int) -> str:
        """Statements of lines spread evenly, as many as fit."""
        step = max(1, len(self._lines) // 4)
        told = ""
        for line in self._lines[::step]:
            longer = f"{told} {line.statement}".strip()
            if told and len(longer) > limit:
                break
            told = longer
        return cut(told, limit)

    def _date(self, schema: dict[str, Any], line: Line | None) -> str:
        day = self._day(line)
        return f"{day}T00:00:00Z" if schema.get("format") == "date-time" else day

    def _day(self, line: Line | None) -> str:
        told = line.date if line else None
        return told or first_date(" ".join(one.text for one in self._lines)) or "2024-01-01"

    def _integer(self, schema: dict[str, Any], name: str, line: Line | None, path: str) -> int:
        if _is_number_of_a_line(name):
            return _within(schema, (line or self._lines[0]).number)
        low, high = _bounds(schema, 1, 10)
        return int(low) + draw(self._seed, path) % (int(high) - int(low) + 1)

    def _number(self, schema: dict[str, Any], _name: str, _line: Line | None, path: str) -> float:
        low, high = _bounds(schema, 0, 1)
        share = draw(self._seed, path) % 101 / 100
        return round(low + share * (high - low), 4)

    def _boolean(self, _schema: dict[str, Any], _name: str, _line: Line | None, path: str) -> bool:
        return draw(self._seed, path) % 4 == 0


def _word(name: str, line: Line) -> str:
    """A name, a property or a value from the line."""
    if name == "attribute":
        return "likes"
    words = line.long_words if name in ("value", "object", "key", "keyword") else line.names
    return next(iter((*words, *line.words, line.text)))


def _bounds(schema: dict[str, Any], low: float, high: float) -> tuple[float, float]:
    least = schema.get("minimum", schema.get("exclusiveMinimum", low - 1) + 1)
    most = schema.get("maximum", schema.get("exclusiveMaximum", max(high, least) + 1) - 1)
    return least, max(least, most)


def _within(schema: dict[str, Any], number: int) -> int:
    low, high = _bounds(schema, -(10**9), 10**9)
    return int(min(max(number, low), high))


def _is_number_of_a_line(name: str) -> bool:
    parts = name.casefold().split("_")
    return any(part in _NUMBER_NAMES or part.removesuffix("s") in _NUMBER_NAMES for part in parts)


def _is_date(schema: dict[str, Any], name: str) -> bool:
    if schema.get("type") != "string":
        return False
    return schema.get("format") in ("date", "date-time") or any(
        part in ("date", "day", "when", "since", "until", "start", "end")
        for part in name.casefold().split("_")
    )


def _is_judgement(item: dict[str, Any]) -> bool:
    """Whether an item of this form only says what kind of thing a line is."""
    parts = item.get("properties", {}).values()
    return bool(parts) and all(
        "enum" in p or p.get("type") in ("integer", "boolean") for p in parts
    )
