"""Which input files have been read to their end, by content: a second run need not read them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from schemas.tables import TABLES
from transforms.sources.files import InputFile, file_digest

FILE = "file"


@dataclass(frozen=True)
class KnownInput:
    """A file that an earlier run has read to its end."""

    fingerprint: str
    bad: int


@dataclass(frozen=True)
class FileState:
    """What changes with a file: as long as it does not, the hash of the bytes stands."""

    inode: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, path: str) -> "FileState | None":
        """As it is now; None if it cannot be seen."""
        try:
            found = Path(path).stat()
        except OSError:
            return None
        return cls(found.st_ino, found.st_size, found.st_mtime_ns)


@dataclass(frozen=True)
class InputLedger:
    """The input files of this run with the hash of their bytes.

    Attributes:
        digests: by path.
        fingerprint: of the plan.
        states: by path, from before the file was hashed.
    """

    digests: Mapping[str, str]
    fingerprint: str
    states: Mapping[str, FileState | None] = field(default_factory=dict[str, FileState | None])

    @classmethod
    def take(cls, files: Sequence[InputFile], fingerprint: str) -> "InputLedger":
        """Hash every file: far cheaper than parsing it."""
        states = {file.path: FileState.of(file.path) for file in files}
        digests = {file.path: file_digest(file.path) for file in files}
        return cls(digests, fingerprint, states)

    def all_known(self, known: Mapping[str, KnownInput]) -> bool:
        """Whether each file has been read, byte for byte, under this very plan."""
        return all(
            digest in known and known[digest].fingerprint == self.fingerprint
            for digest in self.digests.values()
        )

    def bad(self, known: Mapping[str, KnownInput]) -> int:
        """Dead letters those files gave when they were read."""
        return sum(known[digest].bad for digest in set(self.digests.values()))

    def changed(self) -> list[str]:
        """Files that are not what was hashed any more: what was read of them is not known."""
        return sorted(path for path, state in self.states.items() if FileState.of(path) != state)

    def rows(self, bad: int, without: Sequence[str] = ()) -> pa.Table:
        """`offsets` rows to commit once everything read has been built.

        `without`: files that the next run is to read again, because they changed meanwhile.
        """
        # Dead letters are not counted per file; a single file, the usual case, is exact.
        share = [bad, *([0] * len(self.digests))]
        rows = [
            {
                "source": source,
                "partition": FILE,
                "position": digest,
                "fingerprint": self.fingerprint,
                "state": json.dumps({"bad": share[index]}),
            }
            for index, (source, digest) in enumerate(sorted(self.digests.items()))
            if source not in without
        ]
        return pa.Table.from_pylist(rows, schema=TABLES["offsets"].schema)


def known_inputs(offsets: pa.Table) -> dict[str, KnownInput]:
    """By content hash, what the ledger says of the files read so far."""
    files = [row for row in offsets.to_pylist() if row["partition"] == FILE]
    states = [(row, json.loads(row["state"])) for row in files]
    # A live partition may have this name, too; it has another state.
    return {
        row["position"]: KnownInput(row["fingerprint"], int(state["bad"]))
        for row, state in states
        if "bad" in state
    }
