"""What is wrong with a pipeline, where, and how to mend it."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rapidfuzz import fuzz, process

_SIMILAR = 75.0  # WRatio; below it a suggestion misleads more often than it helps.

# What a pipeline says is quoted so far: a value of a few hundred KB, said again at each of a
# thousand aliases, would make an error of hundreds of MB.
_MAX_QUOTED = 200
_MAX_SAID = 1_000

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One defect: file, line and column (from 1), path in the YAML, what, and what to do.

    What is longer than anybody reads is cut.
    """

    file: str
    line: int | None
    column: int | None
    path: str
    message: str
    suggestion: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", shortened(self.message, _MAX_SAID))
        if self.suggestion is not None:
            object.__setattr__(self, "suggestion", shortened(self.suggestion, _MAX_SAID))

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        what = f"{self.path}: {self.message}" if self.path else self.message
        hint = f". {self.suggestion}" if self.suggestion else ""
        return f"{place}: {what}{hint}"

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object."""
        return asdict(self)


class PipelineError(ValueError):
    """A pipeline cannot be used; `problems` holds every reason, in order of position."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: list[Problem] = sorted(problems, key=_position)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type["PipelineError"], tuple[list[Problem]]]:
        # An exception is pickled by its args, which here are the text; Ray sends it back whole.
        return type(self), (self.problems,)

    @classmethod
    def without_position(
        cls, file: str, message: str, suggestion: str | None = None
    ) -> "PipelineError":
        """An error about a file, or a plugin, as a whole."""
        return cls([Problem(file, None, None, "", message, suggestion)])


def _position(problem: Problem) -> tuple[str, int, int]:
    return problem.file, problem.line or 0, problem.column or 0


def path_text(path: Path) -> str:
    """`("steps", 2, "threshold")` as `steps[2].threshold`, cut where keys are overlong."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
        if len(text) > _MAX_QUOTED:
            return shortened(text)
    return text


def shortened(text: str, limit: int = _MAX_QUOTED) -> str:
    """`text` as it is quoted in a message: its beginning, where it is longer than `limit`."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """`Did you mean 'x'?` for the most similar known name, or None where none is similar."""
    best = process.extractOne(name, sorted(known), scorer=fuzz.WRatio, score_cutoff=_SIMILAR)
    return f"Did you mean '{best[0]}'?" if best else None


def did_you_mean_or_list(name: str, known: Sequence[str], noun: str) -> str:
    """A similar name, or all there are."""
    return did_you_mean(name, known) or f"Known {noun}: {', '.join(sorted(known)) or '(none)'}."
