"""Which input files have been read to their end, by content: a second run need not read them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
class InputLedger:
    """The input files of this run with the hash of their bytes."""

    digests: Mapping[str, str]
    fingerprint: str

    @classmethod
    def take(cls, files: Sequence[InputFile], fingerprint: str) -> "InputLedger":
        """Hash every file: far cheaper than parsing it."""
        digests = {file.path: file_digest(file.path) for file in files}
        return cls(digests, fingerprint)

    def all_known(self, known: Mapping[str, KnownInput]) -> bool:
        """Whether each file has been read, byte for byte, under this very plan."""
        return all(
            digest in known and known[digest].fingerprint == self.fingerprint
            for digest in self.digests.values()
        )

    def bad(self, known: Mapping[str, KnownInput]) -> int:
        """Dead letters those files gave when they were read."""
        return sum(known[digest].bad for digest in set(self.digests.values()))

    def rows(self, bad: int) -> pa.Table:
        """`offsets` rows to commit once everything read has been built."""
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
