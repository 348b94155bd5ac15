"""The words around a replayed history: one prompt file, in four sections."""

from dataclasses import dataclass
from pathlib import Path

from schemas.ids import content_hash

_FOLDER = Path(__file__).parents[1] / "prompts"
_SECTIONS = ("system", "history", "patch", "question")


@dataclass(frozen=True)
class Wording:
    """The sections of the prompt file.

    Attributes:
        system: the system message.
        history: what stands above the messages.
        patch: instruction of the patch prompt, above its messages.
        question: instruction above the question.
        identity: `name@version:hash` over all of them; part of the ids of caches.
    """

    system: str
    history: str
    patch: str
    question: str
    identity: str


def read_wording(name: str) -> Wording:
    """The file `operators/replay/prompts/NAME.md`: a line `version: N`, then `# section`s.

    Raises `ValueError` for a file of another form.
    """
    text = (_FOLDER / f"{name}.md").read_text(encoding="utf-8")
    first, *parts = text.split("\n# ")
    label, _, version = first.partition(":")
    named = {title: body.strip() for title, _, body in (part.partition("\n") for part in parts)}
    if label != "version" or not version.strip().isdigit() or tuple(named) != _SECTIONS:
        wanted = ", ".join(f"`# {section}`" for section in _SECTIONS)
        raise ValueError(f"prompt {name}.md must hold a line `version: N`, then {wanted}")
    hashed = content_hash("prompt", *named.values())
    return Wording(**named, identity=f"{name}@{version.strip()}:{hashed[:12]}")
