"""What can be wrong with the input as a whole, before any line of it."""

import re

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_ADDRESSES = (
    "Addresses are not read: download it, or pipe it in with --input -. "
    "What comes in live (redis://, kafka://) is for `memoryflow stream --source`."
)


class InputError(Exception):
    """Input that cannot be used: what is wrong, where, and how to mend it."""

    def __init__(self, what: str, where: str, fix: str) -> None:
        super().__init__(f"{what}: {where}. {fix}")
        self.what = what
        self.where = where
        self.fix = fix

    def __reduce__(self) -> tuple[type["InputError"], tuple[str, str, str]]:
        """Pickle by the three parts, so that the error crosses processes."""
        return type(self), (self.what, self.where, self.fix)

    @classmethod
    def missing(cls, where: str) -> "InputError":
        """No such file."""
        fix = _ADDRESSES if _ADDRESS.match(where) else "Check the path; quote globs."
        return cls("input does not exist", where, fix)

    @classmethod
    def no_match(cls, where: str) -> "InputError":
        """A glob that matches nothing."""
        fix = "Check the pattern; ** descends into folders."
        return cls("no file matches", where, _ADDRESSES if _ADDRESS.match(where) else fix)

    @classmethod
    def empty_folder(cls, where: str, format_name: str, pattern: str) -> "InputError":
        """A folder without a file of the format, whose names match the expression `pattern`."""
        names = ", ".join(_globs(pattern))
        fix = f"Files of format {format_name} are named {names}; see --format."
        return cls("the folder holds no input", where, fix)

    @classmethod
    def no_input(cls) -> "InputError":
        """No path at all."""
        return cls("no input", "--input", "Name a file, a folder, a glob, or - for stdin.")

    @classmethod
    def stdin_twice(cls) -> "InputError":
        """Standard input among other inputs, or asked for what only a file can give."""
        fix = "Save it to a file first."
        return cls("standard input can be read only once", "-", fix)

    @classmethod
    def unreadable(cls, where: str, error: OSError) -> "InputError":
        """The operating system refused."""
        reason = error.strerror or str(error)
        return cls("input cannot be read", where, f"{reason}: check permissions and the disk.")

    @classmethod
    def zip_archive(cls, where: str) -> "InputError":
        """A zip archive, as chat exports come."""
        return cls("input is a zip archive", where, "Unpack it and name the folder.")

    @classmethod
    def item_too_large(cls, where: str, why: str) -> "InputError":
        """A document whose items do not fit in memory."""
        return cls(f"document too large ({why})", where, "Split it, or write JSON Lines.")

    @classmethod
    def unknown_format(cls, name: str, known: list[str]) -> "InputError":
        """A format that does not exist."""
        return cls("unknown format", name, f"Known formats: {', '.join(known)}.")


def _globs(pattern: str) -> list[str]:
    """Names that an expression of `operators.parse.formats` matches, as people write them."""
    stem, _, packed = pattern.partition("(\\.gz")
    also = " (also .gz, .zst)" if packed else ""
    plain = stem.replace(r"\d{4}-\d\d-\d\d", "YYYY-MM-DD").replace(".*", "*").replace(r"\.", ".")
    head, _, endings = plain.partition("(")
    names = [head + ending for ending in endings.rstrip(")").split("|")]
    return [*names[:-1], names[-1] + also]
