import json
import logging
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.parse.base import MAX_LINE_BYTES
from operators.parse.jsonl import parse_jsonl
from tests.clock import Clock
from tests.effort import examples
from transforms.sources.errors import InputError
from transforms.sources.live import descriptors
from transforms.sources.live.file_identity import Position
from transforms.sources.live.file_spec import FileSpec, FoundFile
from transforms.sources.live.tailed_files import TailedFiles

MIB = 1024 * 1024


class Reader:
    """A source, what it gave, and where it may be resumed."""

    def __init__(self, spec: Path | str, positions: dict[str, str] | None = None, **options: int):
        self.clock = Clock()
        self.spec, self.options = str(spec), options
        self.positions = dict(positions or {})
        self.lines: defaultdict[str, list[tuple[int, bytes]]] = defaultdict(list)
        self.heard: list[bytes] = []
        self.closed: list[str] = []
        self.source = self._start()

    def _start(self) -> TailedFiles:
        clock = self.clock
        source = TailedFiles(self.spec, clock=clock, sleep=clock.sleep, **self.options)
        source.resume(self.positions)
        return source

    def restart(self) -> None:
        self.source.close()
        self.source = self._start()

    def poll(self, max_bytes: int = MIB, wait: float = 0.0) -> int:
        polled = self.source.poll(max_bytes, wait)
        names = [one.partition for one in polled]
        assert len(names) == len(set(names))
        for one in polled:
            self.lines[one.partition].extend(one.records)
            self.heard += [raw for _, raw in one.records]
            self.positions[one.partition] = one.position
            self.closed += [one.partition] if one.closed else []
        return len(polled)

    def drain(self, max_bytes: int = MIB) -> list[bytes]:
        """All lines that come until the files have been quiet for long."""
        before = len(self.heard)
        quiet = 0
        while quiet < 4:
            quiet = 0 if self.poll(max_bytes, 2.0) else quiet + 1
        return self.heard[before:]


def line(number: int, size: int = 0) -> bytes:
    return json.dumps({"id": number, "text": "x" * size}).encode()


def log(*numbers: int, size: int = 0) -> bytes:
    return b"".join(line(number, size) + b"\n" for number in numbers)


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as stream:
        stream.write(data)


def ids(lines: list[bytes]) -> list[int]:
    return [json.loads(raw)["id"] for raw in lines]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.jsonl"


# --- Reading ------------------------------------------------------------------------------


def test_lines_come_numbered_and_once(path: Path) -> None:
    reader = Reader(path)
    assert reader.poll(wait=3.0) == 0  # waits for the file
    append(path, log(1, 2))
    reader.clock.sleep(2)
    reader.poll()
    append(path, log(3))
    reader.poll()
    ((partition, lines),) = reader.lines.items()
    assert lines == [(1, line(1)), (2, line(2)), (3, line(3))]
    assert reader.source.partitions() == [partition]
    assert reader.source.backlog() == {}
    assert reader.poll(wait=10.0) == 0


def test_polling_waits_no_longer_than_told(path: Path) -> None:
    reader = Reader(path)
    before = reader.clock.now
    reader.poll(wait=0.2)
    assert before + 0.2 <= reader.clock.now < before + 0.3


def test_names_and_positions_hold_no_text(path: Path) -> None:
    append(path, b'{"text": "secret"}\n' * 3)
    reader = Reader(path)
    reader.drain()
    assert "secret" not in str(reader.positions)
    (place,) = reader.positions.values()
    assert Position.from_json(place).to_json() == place
    assert Position.from_json(place).line == 3


def test_small_polls_serve_files_in_turn(tmp_path: Path) -> None:
    for name in "abc":
        append(tmp_path / f"{name}.jsonl", log(*range(ord(name) * 10, ord(name) * 10 + 20)))
    reader = Reader(tmp_path)
    assert sum(reader.source.backlog().values()) == sum(
        file.stat().st_size for file in tmp_path.iterdir()
    )
    for _ in range(12):
        reader.poll(1)
    assert [len(lines) for lines in reader.lines.values()] == [4, 4, 4]
    reader.drain(100)
    assert [len(lines) for lines in reader.lines.values()] == [20, 20, 20]


def test_unicode_and_crlf_are_left_to_the_parser(path: Path) -> None:
    raws = ['{"text":"Grüße 🎈"}'.encode() + b"\r", b"\xef\xbb\xbf{}\r", b"\xff\x00 no json", b""]
    append(path, b"\n".join(raws) + b"\n")
    reader = Reader(path)
    assert reader.drain(5) == raws
    reader.restart()
    assert reader.drain() == []


def test_only_plain_logs_of_a_folder_count(tmp_path: Path) -> None:
    names = ["a.jsonl", "b.ndjson", "sub/c.jsonl.1", "c.jsonl-20250101", "d.jsonl.2025-01-01_12"]
    others = [".e.jsonl", "f.jsonl.gz", "g.txt", ".sub/h.jsonl", "i.jsonl.1.zst", "j.jsonl.bak"]
    for number, name in enumerate(names + others):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        append(tmp_path / name, log(number))
    (tmp_path / "link.jsonl").symlink_to("a.jsonl")
    (tmp_path / "broken.jsonl").symlink_to("nowhere")
    assert sorted(ids(Reader(tmp_path).drain())) == list(range(len(names)))


def test_a_glob_matches_what_it_says(tmp_path: Path) -> None:
    for number, name in enumerate(["a/x.log", "b/c/x.log", "b/x.log.1", "b/x.log.1.gz", "x.txt"]):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        append(tmp_path / name, log(number))
    assert sorted(ids(Reader(tmp_path / "**/*.log").drain())) == [0, 1, 2]


def test_compressed_files_named_outright_are_refused(tmp_path: Path) -> None:
    hidden = tmp_path / "chat.jsonl"
    hidden.write_bytes(b"\x1f\x8b rest")
    for spec in (hidden, tmp_path / "chat.jsonl.zst", tmp_path / "*.jsonl.gz"):
        with pytest.raises(InputError, match="`run`"):
            TailedFiles(str(spec))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="no regular file"):
        TailedFiles(str(tmp_path / "pipe"))


def test_an_unreadable_file_is_named_once_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    really, locked = os.open, True

    def guarded(path: str, flags: int) -> int:
        if locked and path.endswith("locked.jsonl"):
            raise PermissionError(13, "Permission denied", path)
        return really(path, flags)

    monkeypatch.setattr(descriptors.os, "open", guarded)
    append(tmp_path / "locked.jsonl", log(1, 2))
    append(tmp_path / "open.jsonl", log(3))
    with caplog.at_level(logging.WARNING):
        reader = Reader(tmp_path)
        assert ids(reader.drain()) == [3]
    assert [record.getMessage() for record in caplog.records] == [
        f"cannot read {tmp_path}/locked.jsonl: Permission denied; going on with the others"
    ]
    locked = False
    assert ids(reader.drain()) == [1, 2]


def test_a_scan_that_was_held_up_does_not_put_off_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process may be stopped for seconds anywhere; only scans that always take long are rare."""
    append(tmp_path / "a.jsonl", log(1))
    reader = Reader(tmp_path)
    find, takes = FileSpec.find, [0.0, 5.0, 0.0, 0.0]

    def held_up(spec: FileSpec) -> Iterator[FoundFile]:
        reader.clock.sleep(takes.pop(0))
        return find(spec)

    monkeypatch.setattr(FileSpec, "find", held_up)
    reader.poll()
    reader.poll(wait=2.5)
    assert takes == [0.0, 0.0]
    append(tmp_path / "b.jsonl", log(2))
    reader.poll(wait=2.5)
    assert ids(reader.heard) == [1, 2]


def test_a_folder_with_many_files(tmp_path: Path) -> None:
    for number in range(2000):
        append(tmp_path / f"{number}.jsonl", log(number, number + 10_000))
    reader = Reader(tmp_path, max_open=8)
    held = len(list(Path("/proc/self/fd").iterdir()))
    reader.drain()
    assert len(list(Path("/proc/self/fd").iterdir())) <= held + 8
    assert len(reader.source.partitions()) == 2000
    reader.restart()
    append(tmp_path / "7.jsonl", log(1))
    assert ids(reader.drain()) == [1]
    assert len(reader.heard) == 4001
    reader.source.close()


# --- The last line ------------------------------------------------------------------------


def test_a_quiet_json_tail_counts_without_newline(path: Path) -> None:
    append(path, log(1) + line(2))
    reader = Reader(path)
    reader.poll()
    assert ids(reader.heard) == [1]
    assert sum(reader.source.backlog().values()) == len(line(2))
    reader.poll(wait=0.9)
    assert ids(reader.heard) == [1]
    reader.poll(wait=0.5)
    assert ids(reader.heard) == [1, 2]
    append(path, b"\r\n" + log(3))
    reader.restart()
    reader.drain()
    assert [number for number, _ in next(iter(reader.lines.values()))] == [1, 2, 3]
    assert ids(reader.heard) == [1, 2, 3]


def test_an_unfinished_tail_waits_for_its_newline(path: Path) -> None:
    append(path, b'{"id": 1, "text')
    reader = Reader(path)
    assert reader.drain() == []
    assert reader.source.partitions() == []
    append(path, b'": ""}\n12')
    assert ids(reader.drain()) == [1]
    assert reader.source.backlog() == {}
    append(path, b"3\n")
    assert reader.drain() == [b"123"]


def test_a_whole_file_may_be_one_line_without_newline(path: Path) -> None:
    append(path, b"\xef\xbb\xbf" + line(1))
    reader = Reader(path)
    assert reader.source.backlog() == {"(no line yet)": len(line(1)) + 3}
    assert len(reader.drain()) == 1
    (partition,) = reader.source.partitions()
    append(path, b"\n" + log(2))
    reader.restart()
    assert ids(reader.drain()) == [2]
    assert reader.source.partitions() == [partition]


# --- Long lines ---------------------------------------------------------------------------


def test_a_line_over_the_limit_comes_cut_and_is_skipped_across_restarts(path: Path) -> None:
    append(path, log(1) + b"x" * (MAX_LINE_BYTES // 2))
    reader = Reader(path)
    reader.drain()
    append(path, b"y" * MAX_LINE_BYTES)
    while reader.poll(1):
        reader.restart()
    append(path, b"z" * (3 * MIB) + b"\n" + log(3))
    while reader.poll(1):
        reader.restart()
    ((_, lines),) = reader.lines.items()
    assert [(number, len(raw)) for number, raw in lines] == [
        (1, len(line(1))),
        (2, MAX_LINE_BYTES + 1),
        (3, len(line(3))),
    ]
    parsed = parse_jsonl([lines[1]], "chat")
    assert parsed.counters["dead_letters.line_too_long"] == 1


def test_a_first_line_over_the_limit_names_its_file(path: Path) -> None:
    append(path, b"x" * (MAX_LINE_BYTES + 2 * MIB))
    reader = Reader(path)
    reader.drain()
    append(path, b"\n" + log(2))
    assert ids(reader.drain()) == [2]
    assert len(reader.lines) == 1


def test_a_line_just_within_the_limit_comes_whole(path: Path) -> None:
    raws = [b"a" * MAX_LINE_BYTES, b"b" * (MAX_LINE_BYTES + 1), b"c" * (MAX_LINE_BYTES + 2), b"d"]
    append(path, b"\n".join(raws) + b"\n")
    lines = Reader(path).drain(64 * MIB)
    assert [len(raw) for raw in lines] == [MAX_LINE_BYTES] + [MAX_LINE_BYTES + 1] * 2 + [1]


# --- Rotation, truncation, deletion -------------------------------------------------------


def test_rotation(path: Path) -> None:
    append(path, log(1, 2))
    reader = Reader(path)
    reader.drain()
    (old,) = reader.source.partitions()
    with path.open("ab") as writer:
        rotated = path.rename(f"{path}.1")
        writer.write(log(3))
    append(path, log(4))
    assert sorted(ids(reader.drain())) == [3, 4]
    assert ids([raw for _, raw in reader.lines[old]]) == [1, 2, 3]
    assert reader.closed == [old]
    assert old not in reader.source.partitions()
    append(rotated, log(5))  # a writer that did not notice
    assert ids(reader.drain()) == [5]
    assert reader.closed == [old, old]


def test_rotation_while_down(path: Path) -> None:
    append(path, log(1, 2))
    reader = Reader(path)
    reader.drain()
    append(path, log(3))
    path.rename(f"{path}.2")
    Path(f"{path}.1").write_bytes(log(4, 5))
    append(path, log(6))
    reader.restart()
    assert sorted(ids(reader.drain())) == [3, 4, 5, 6]
    assert len(reader.lines) == 3


def test_positions_survive_a_copy_to_another_folder(path: Path, tmp_path: Path) -> None:
    append(path, log(1, 2))
    reader = Reader(path)
    reader.drain()
    append(path, log(3))
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    shutil.copy(path, copy / "renamed.jsonl")
    path.unlink()
    assert ids(Reader(copy, reader.positions).drain()) == [3]


@pytest.mark.parametrize("down", [True, False])
def test_copytruncate(path: Path, down: bool) -> None:
    append(path, log(*range(50)))
    reader = Reader(path)
    reader.drain()
    append(path, log(50))
    shutil.copy(path, f"{path}.1")
    path.write_bytes(log(*range(100, 160)))  # longer than it was
    if down:
        reader.restart()
    assert sorted(ids(reader.drain())) == [50, *range(100, 160)]


def test_a_copy_seen_before_the_truncation_is_not_read_twice(path: Path) -> None:
    append(path, log(*range(50)))
    reader = Reader(path)
    reader.drain()
    append(path, log(50))
    shutil.copy(path, f"{path}.1")
    reader.clock.sleep(2)
    reader.poll(1)
    path.write_bytes(log(100))
    reader.drain(1)
    assert set(ids(reader.heard)) == {*range(51), 100}
    assert len(reader.heard) < 60
    reader.restart()
    assert reader.drain() == []


@pytest.mark.parametrize("down", [True, False])
@pytest.mark.parametrize("rest", [log(1), log(1, 3), log(1, 3, 4, 5, 6), log(9, 3), b""])
def test_a_truncated_file_is_read_from_its_beginning(path: Path, rest: bytes, down: bool) -> None:
    append(path, log(1, 2, 3))
    reader = Reader(path)
    reader.drain()
    path.write_bytes(rest)
    os.utime(path, (1, 1))
    if down:
        reader.restart()
    assert reader.drain() == rest.splitlines()


def test_a_deleted_file_is_read_to_its_end_and_closed(path: Path) -> None:
    append(path, log(1))
    reader = Reader(path)
    reader.poll()
    append(path, log(2) + b'{"id": 3, "text": "cut')
    path.unlink()
    assert reader.drain() == [line(2), b'{"id": 3, "text": "cut']
    assert len(reader.closed) == 1
    assert reader.source.partitions() == []
    assert reader.poll(wait=60.0) == 0


def test_a_file_that_comes_back_goes_on(path: Path, tmp_path: Path) -> None:
    append(path, log(1))
    reader = Reader(tmp_path)
    reader.drain()
    away = path.rename(tmp_path / "away")
    reader.drain()
    assert len(reader.closed) == 1
    away.rename(path)
    append(path, log(2))
    assert ids(reader.drain()) == [2]
    assert len(reader.lines) == 1


def test_identical_twins_are_two_partitions(tmp_path: Path) -> None:
    a, b = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    append(a, log(1, 2))
    append(b, log(1, 2))
    reader = Reader(tmp_path)
    assert sorted(ids(reader.drain())) == [1, 1, 2, 2]
    one, two = reader.source.partitions()
    assert two == f"{one}~2"
    append(a, log(3))
    append(b, log(4, 5))
    reader.restart()
    assert sorted(ids(reader.drain())) == [3, 4, 5]
    a.rename(tmp_path / "c.jsonl")
    append(b, log(6))
    reader.restart()
    assert ids(reader.drain()) == [6]


def test_a_position_that_is_none_starts_at_the_beginning(path: Path) -> None:
    append(path, log(1))
    reader = Reader(path)
    reader.drain()
    (partition,) = reader.source.partitions()
    for wrong in ("", "[]", "{}", '{"offset":-1,"tail":""}', '{"offset":1e99,"tail":""}'):
        assert ids(Reader(path, {partition: wrong}).drain()) == [1]


# --- Any interleaving ---------------------------------------------------------------------

_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 300)),
        st.tuples(st.just("poll"), st.integers(1, 200)),
        st.tuples(st.just("sleep"), st.integers(1, 70)),
        st.tuples(st.just("rotate"), st.just(0)),
        st.tuples(st.just("truncate"), st.just(0)),
        st.tuples(st.just("copytruncate"), st.just(0)),
        st.tuples(st.just("restart"), st.integers(0, 3)),
    ),
    max_size=40,
)


class World:
    """A writer that rotates its log, and a reader that crashes."""

    def __init__(self, folder: Path, spec: str) -> None:
        self.path, self.reader = folder / "x.jsonl", Reader(folder / spec, max_open=2)
        self.written = self.rotations = 0
        self.lost: set[int] = set()
        self.rest = b""
        self.history = [dict[str, str]()]
        self.begun = [0]

    def run(self, steps: list[tuple[str, int]]) -> None:
        for step, amount in steps:
            getattr(self, step)(amount)
        append(self.path, self.rest)
        self.rest = b""

    def append(self, size: int) -> None:
        while len(self.rest) < size:
            self.written += 1
            self.rest += line(self.written, self.written * 37 % 90) + b"\n"
        append(self.path, self.rest[:size])
        self.rest = self.rest[size:]

    def poll(self, size: int) -> None:
        self.reader.poll(size)
        self.history.append(dict(self.reader.positions))

    def sleep(self, tenths: int) -> None:
        self.reader.clock.sleep(tenths / 10)

    def restart(self, back: int) -> None:
        """Resume from where things were `back` polls ago."""
        self.reader.positions = dict(self.history[max(0, len(self.history) - 1 - back)])
        self.history = [dict(self.reader.positions)]
        self.reader.restart()

    def finish_line(self) -> None:
        end = self.rest.find(b"\n") + 1
        if self.path.exists() and self.path.read_bytes()[-1:] not in {b"", b"\n"}:
            append(self.path, self.rest[:end])
            self.rest = self.rest[end:]

    def rotate(self, _: int) -> None:
        self.finish_line()
        if self.path.exists():
            self.rotations += 1
            self.path.rename(f"{self.path}.{self.rotations}")

    def copytruncate(self, _: int) -> None:
        self.finish_line()
        if self.path.exists():
            self.rotations += 1
            shutil.copy(self.path, f"{self.path}.{self.rotations}")
            os.truncate(self.path, 0)

    def truncate(self, _: int) -> None:
        self.finish_line()
        if self.path.exists():
            self.lost.update(ids(self.path.read_bytes().splitlines()))
            os.truncate(self.path, 0)


@examples(150)
@given(steps=_STEPS, spec=st.sampled_from(["", "x.jsonl", "*.jsonl"]))
def test_any_interleaving_loses_nothing(steps: list[tuple[str, int]], spec: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), spec)
        world.run(steps)
        world.reader.drain(100)
        got = ids(world.reader.heard)
        assert set(range(1, world.written + 1)) - set(got) <= world.lost
        cut = {"truncate", "copytruncate"} & {step for step, _ in steps}
        if not cut and not any(step == "restart" and back for step, back in steps):
            assert sorted(got) == list(range(1, world.written + 1))
            for lines in world.reader.lines.values():
                assert [number for number, _ in lines] == list(range(1, len(lines) + 1))
                assert sorted(lines) == lines
                assert ids([raw for _, raw in lines]) == sorted(ids([raw for _, raw in lines]))
        world.reader.source.close()


@examples(100)
@given(
    raws=st.lists(st.binary(max_size=12).filter(lambda raw: b"\n" not in raw), max_size=12),
    cuts=st.lists(st.integers(1, 9), min_size=1, max_size=40),
    max_bytes=st.integers(1, 30),
    restarts=st.sets(st.integers(0, 40)),
)
def test_any_bytes_come_as_they_are(
    raws: list[bytes], cuts: list[int], max_bytes: int, restarts: set[int]
) -> None:
    data = b'{"first": 1}\n' + b"".join(raw + b"\n" for raw in raws)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.jsonl")
        reader = Reader(path)
        for number, size in enumerate([*cuts, len(data)]):
            append(path, data[:size])
            data = data[size:]
            reader.poll(max_bytes, 0.1)
            if number in restarts:
                reader.restart()
        reader.drain(max_bytes)
        # A line of blanks after a line taken early would be its end; none is taken that early.
        assert reader.heard == [b'{"first": 1}', *raws]
        reader.source.close()
