import gzip
import json
from pathlib import Path

import pytest
import zstandard

from pipelines.sampling import sample_input, text_bytes
from transforms.sources.files import InputFile, expand_inputs


def _lines(count: int) -> bytes:
    rows = [
        {
            "conversation_id": f"c{n // 20}",
            "message_id": f"m{n}",
            "speaker": "Mira",
            "timestamp": "2024-05-01T12:00:00Z",
            "text": f"The kiln needs {n * 7919 % 10007} bricks, says note {n * 104729 % 99991}.",
        }
        for n in range(count)
    ]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    if name.endswith(".gz"):
        data = gzip.compress(data)
    elif name.endswith(".zst"):
        data = zstandard.compress(data)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_the_share_is_that_of_the_uncompressed_text(tmp_path: Path, suffix: str) -> None:
    path = _write(tmp_path, f"log.jsonl{suffix}", _lines(8000))
    sample = sample_input(expand_inputs(str(path)), max_messages=2000)
    assert sample.messages.num_rows == 2000
    assert round(2000 * sample.scale) == pytest.approx(8000, rel=0.05)


def test_a_small_input_is_read_whole(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        _write(tmp_path, name, _lines(10).replace(b': "m', f': "{name}'.encode()))
    sample = sample_input(expand_inputs(str(tmp_path)))
    assert sample.messages.num_rows == 20
    assert sample.scale == 1.0


def test_the_rest_of_several_files_counts(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl", "c.jsonl"):
        _write(tmp_path, name, _lines(300).replace(b': "m', f': "{name}'.encode()))
    sample = sample_input(expand_inputs(str(tmp_path)), max_messages=400)
    assert round(sample.messages.num_rows * sample.scale) == pytest.approx(900, rel=0.3)


def test_an_input_without_messages(tmp_path: Path) -> None:
    path = _write(tmp_path, "bad.jsonl", b"not json\n")
    sample = sample_input(expand_inputs(str(path)))
    assert sample.messages.num_rows == 0
    assert sample.scale == 1.0


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_the_text_of_a_long_archive_is_extrapolated(tmp_path: Path, suffix: str) -> None:
    data = _lines(40_000)
    path = _write(tmp_path, f"log.jsonl{suffix}", data)
    assert len(data) > 5 * 1024 * 1024
    found = text_bytes(InputFile(str(path), path.stat().st_size))
    assert found == pytest.approx(len(data), rel=0.1)


def test_the_text_of_a_damaged_archive_is_unknown(tmp_path: Path) -> None:
    for name in ("log.jsonl.gz", "log.jsonl.zst"):
        path = tmp_path / name
        path.write_bytes(b"this is no archive")
        assert text_bytes(InputFile(str(path), 18)) == 0


def test_standard_input_is_unknown() -> None:
    assert text_bytes(InputFile("-", 0)) == 0
