"""YAML text into plain values, with the line and column of every key and value.

Read through PyYAML's composer, not its constructor: nodes carry positions, nothing of a
document is ever executed, and duplicate keys and alias bombs are seen before they are
expanded. Scalars follow the YAML 1.2 core schema, so `no` is text and `1e-3` a number,
where PyYAML's YAML 1.1 rules say otherwise.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import ReaderError

from pipelines.errors import Path, PipelineError, Problem, path_text, shortened

MAX_BYTES = 256 * 1024  # A pipeline has ten thousand; a full one is parsed in seconds.
MAX_VALUES = 20_000  # A pipeline has hundreds; aliases of aliases make billions.
MAX_TEXT = 4 * MAX_BYTES  # Characters of keys and values, as aliases of a long one make GB.
MAX_DEPTH = 60

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"


class _CoreLoader(yaml.SafeLoader):
    """SafeLoader with the scalars of the YAML 1.2 core schema (no dates, no base 60)."""

    yaml_implicit_resolvers = {}  # noqa: RUF012  (PyYAML's own way to start from none)


for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?",
        list("-+.0123456789"),
    ),
    ("merge", r"<<", ["<"]),
):
    _CoreLoader.add_implicit_resolver(_TAG + _name, re.compile(f"^(?:{_pattern})$"), _first)


@dataclass(frozen=True)
class Mark:
    """Where something is, counted from 1."""

    line: int
    column: int


@dataclass
class Document:
    """A YAML document: its value, and the marks of keys and values by path."""

    file: str
    value: Any = None
    keys: dict[Path, Mark] = field(default_factory=dict[Path, Mark])
    values: dict[Path, Mark] = field(default_factory=dict[Path, Mark])
    problems: list[Problem] = field(default_factory=list[Problem])

    def problem(
        self, path: Path, message: str, suggestion: str | None = None, *, at_key: bool = False
    ) -> Problem:
        """A problem at `path`, placed at its nearest existing ancestor where it is missing."""
        mark = self.keys.get(path) if at_key else None
        place = path
        while mark is None:
            mark = self.values.get(place)
            if mark is None and not place:
                mark = Mark(1, 1)
            place = place[:-1]
        return Problem(self.file, mark.line, mark.column, path_text(path), message, suggestion)


def parse(text: str, file: str) -> Document:
    """Parse one YAML document; syntax errors raise, all others collect in `problems`."""
    try:
        node = _compose(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        message = f"not valid YAML: character U+{ord(text[error.position]):04X} is not allowed"
        raise PipelineError([Problem(file, line, column, "", message)]) from error
    except yaml.MarkedYAMLError as error:
        raise PipelineError([_syntax_problem(error, file)]) from error
    except RecursionError as error:
        raise PipelineError.without_position(file, "nested too deeply to be a pipeline") from error
    document = Document(file)
    if node is not None:
        document.value = _Converter(document).convert(node, ())
    return document


def _compose(text: str) -> Node | None:
    loader = _CoreLoader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def _syntax_problem(error: yaml.MarkedYAMLError, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
    what = error.problem or str(error)
    if error.context:
        what = f"{error.context}: {what}"
    hint = None
    if "\\t" in what:
        hint = "Indent with spaces, not tabs."
    elif "mapping values are not allowed" in what:
        hint = "Check the indentation, and quote text that contains ': '."
    elif "single document" in what:
        hint = "Keep one pipeline per file: remove what follows '---'."
    return Problem(file, line, column, "", f"not valid YAML: {shortened(what)}", hint)


class _Converter:
    """Builds plain values from nodes, within limits, noting marks and problems."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._count = 0
        self._text = 0
        self._open: set[int] = set()

    def convert(self, node: Node, path: Path) -> Any:
        self._document.values[path] = _mark(node)
        self._count += 1
        if self._count > MAX_VALUES:
            self._refuse(node, path, f"more than {MAX_VALUES} values once aliases are expanded")
        if len(path) > MAX_DEPTH:
            self._refuse(node, path, f"nested more than {MAX_DEPTH} levels deep")
        if isinstance(node, ScalarNode):
            self._count_text(node, path)
            if _is_unicode(node.value):
                return self._scalar(node, path)
            self._add(node, path, "half a surrogate pair is no character", "Remove the escape.")
            return ""
        if id(node) in self._open:
            self._refuse(node, path, "an alias refers to the value that contains it")
        self._open.add(id(node))
        try:
            if isinstance(node, SequenceNode):
                self._check_tag(node, path, "seq")
                return [self.convert(item, (*path, i)) for i, item in enumerate(node.value)]
            if isinstance(node, MappingNode):
                self._check_tag(node, path, "map")
                return self._mapping(node, path)
        finally:
            self._open.discard(id(node))
        raise TypeError(type(node))

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        # Merged keys first, so that marks of the keys written here replace theirs.
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged |= self._merge(value_node, path)
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                continue
            if not isinstance(key_node, ScalarNode) or key_node.tag != _TAG + "str":
                self._add(key_node, path, "keys must be text", "Quote the key.")
                continue
            self._count_text(key_node, path)
            key = key_node.value
            if not _is_unicode(key):
                self._add(key_node, path, "half a surrogate pair is no character in a key")
                continue
            here = (*path, key)
            if key in own:
                first = self._document.keys[here].line
                message = f"'{shortened(key)}' is given twice (first on line {first})"
                self._add(key_node, here, message, "Keep one.")
                continue
            self._document.keys[here] = _mark(key_node)
            own[key] = self.convert(value_node, here)
        return merged | own

    def _merge(self, node: Node, path: Path) -> dict[str, Any]:
        sources = node.value if isinstance(node, SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for source in reversed(sources):  # The first of several wins, as YAML says.
            if isinstance(source, MappingNode):
                merged |= self.convert(source, path)
            else:
                self._add(source, path, "'<<' merges mappings only", "Refer to one: '<<: *name'.")
        return merged

    def _scalar(self, node: ScalarNode, path: Path) -> Any:
        kind, text = node.tag.removeprefix(_TAG), node.value
        try:
            match kind:
                case "null":
                    return None
                case "bool":
                    return text.lower() == "true"
                case "int":
                    return int(text)
                case "float":
                    return float(text)
                case "str" | "merge":
                    return text
                case _:
                    self._check_tag(node, path, "str")
        except ValueError:
            self._add(node, path, f"'{text[:20]}' is not a usable {kind}")
        return text

    def _count_text(self, node: ScalarNode, path: Path) -> None:
        self._text += len(node.value)
        if self._text > MAX_TEXT:
            self._refuse(node, path, f"more than {MAX_TEXT} characters once aliases are expanded")

    def _check_tag(self, node: Node, path: Path, kind: str) -> None:
        if node.tag != _TAG + kind:
            tag = shortened(node.tag.replace(_TAG, "!!"))
            self._add(node, path, f"the tag '{tag}' is not allowed", "Write a plain value.")

    def _add(self, node: Node, path: Path, message: str, suggestion: str | None = None) -> None:
        mark = _mark(node)
        self._document.problems.append(
            Problem(
                self._document.file, mark.line, mark.column, path_text(path), message, suggestion
            )
        )

    def _refuse(self, node: Node, path: Path, message: str) -> None:
        mark = _mark(node)
        problem = Problem(self._document.file, mark.line, mark.column, path_text(path[:6]), message)
        raise PipelineError([*self._document.problems, problem])


def _is_unicode(text: str) -> bool:
    """Whether it can be written anywhere: YAML escapes can make what cannot."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _mark(node: Node) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)
