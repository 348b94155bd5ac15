import gzip
import io
import json
import pickle
import sys
from collections import Counter
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from operators.parse.base import MAX_RAW_BYTES, Parsed, ParseLimits
from operators.parse.formats import FORMATS
from operators.parse.jsonl import parse_jsonl
from operators.parse.rows import CutInput
from transforms.sources.bytestreams import BrokenEnd, LongLine, iter_lines
from transforms.sources.errors import InputError
from transforms.sources.files import InputFile, expand_inputs, file_digest, read_blocks

REPO = Path(__file__).parents[3]
SAMPLES = REPO / "tests/operators/parse/samples"


def log(*ids: int) -> bytes:
    return b"".join(
        json.dumps(
            {
                "conversation_id": "c",
                "message_id": f"m{i}",
                "speaker": "Ana",
                "timestamp": "2024-05-31T18:00:00Z",
                "text": f"text {i} " + "x" * 50,
            }
        ).encode()
        + b"\n"
        for i in ids
    )


def read(path: Path | str, format_name: str = "jsonl", **kwargs: object) -> list[Parsed]:
    (file,) = expand_inputs(str(path), format_name)
    return list(read_blocks(file, format_name, **kwargs))  # pyright: ignore


def ids(blocks: list[Parsed]) -> list[str]:
    return [i for b in blocks for i in b.messages["message_id"].to_pylist()]


def reasons(blocks: list[Parsed]) -> list[str]:
    return [r for b in blocks for r in b.dead_letters["reason"].to_pylist()]


def totals(blocks: list[Parsed]) -> Counter[str]:
    return sum((Counter(b.counters) for b in blocks), Counter())


# --- Which files --------------------------------------------------------------------------


def test_a_folder_is_searched_recursively_for_files_of_the_format(tmp_path: Path) -> None:
    for name in (
        "b.jsonl",
        "a/z.json.gz",
        "a/y.jsonl.zst",
        "a/notes.txt",
        ".git/x.jsonl",
        ".x.json",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"12")
    found = expand_inputs(str(tmp_path))
    assert [f.path for f in found] == [
        str(tmp_path / n) for n in ("a/y.jsonl.zst", "a/z.json.gz", "b.jsonl")
    ]
    assert {f.size for f in found} == {2}


def test_a_warehouse_inside_the_folder_is_no_input(tmp_path: Path) -> None:
    """`--input logs -w logs/memory`: its own files are JSON, too."""
    (tmp_path / "a.json").touch()
    (tmp_path / "memory" / "journal").mkdir(parents=True)
    for name in ("memoryflow.json", "stream.json", "journal/a.jsonl"):
        (tmp_path / "memory" / name).touch()
    assert [Path(file.path).name for file in expand_inputs(str(tmp_path))] == ["a.json"]


def test_files_globs_and_folders_name_each_file_once(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"")
    (tmp_path / "weird[1].txt").write_bytes(b"")
    both = [
        str(tmp_path),
        f"{tmp_path}/*.jsonl",
        f"{tmp_path}/./a.jsonl",
        f"{tmp_path}/weird[1].txt",
    ]
    assert [Path(f.path).name for f in expand_inputs(both)] == ["a.jsonl", "weird[1].txt"]


def test_slack_and_chatgpt_folders_hold_other_json_too() -> None:
    slack = expand_inputs(str(SAMPLES / "slack_export"), "slack_export")
    assert [Path(f.path).name for f in slack] == [
        "2025-02-03.json",
        "2025-02-04.json",
        "2025-02-04.json",
    ]
    assert len(expand_inputs(str(SAMPLES), "chatgpt_export")) == 1


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("{tmp}/nothing", "input does not exist: {tmp}/nothing. Check the path; quote globs."),
        ("{tmp}/*.jsonl", "no file matches: {tmp}/*.jsonl. Check the pattern"),
        ("s3://logs/a.jsonl", "s3://logs/a.jsonl. Addresses are not read: download it"),
        ("https://host/*.jsonl", "https://host/*.jsonl. Addresses are not read: download it"),
        (
            "{tmp}",
            "the folder holds no input: {tmp}. Files of format jsonl are named *.jsonl, *.ndjson, "
            "*.json (also .gz, .zst); see --format.",
        ),
        ([], "no input: --input. Name a file, a folder, a glob, or - for stdin."),
        (["-", "{tmp}"], "standard input can be read only once: -. Save it to a file first."),
    ],
)
def test_input_errors(tmp_path: Path, inputs: str | list[str], message: str) -> None:
    def here(text: str) -> str:
        return text.replace("{tmp}", str(tmp_path))

    spec = here(inputs) if isinstance(inputs, str) else [here(i) for i in inputs]
    with pytest.raises(InputError) as caught:
        expand_inputs(spec)
    assert here(message) in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_unknown_format_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"unknown format: xml\. Known formats: jsonl, openai_chat"
    ):
        expand_inputs(str(tmp_path), "xml")


def test_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"input cannot be read: .*gone\.jsonl\. No such file"):
        expand_inputs(str(tmp_path))
    with pytest.raises(InputError, match=r"input cannot be read: .*check permissions"):
        list(read_blocks(InputFile(str(tmp_path), 0)))
    with pytest.raises(InputError, match="input cannot be read"):
        file_digest(str(tmp_path / "gone.jsonl"))
    with pytest.raises(InputError, match="standard input"):
        file_digest("-")


def test_zip_archive(tmp_path: Path) -> None:
    (tmp_path / "export.zip").write_bytes(b"PK\x03\x04rest")
    with pytest.raises(
        InputError, match=r"input is a zip archive: .*Unpack it and name the folder"
    ):
        read(tmp_path / "export.zip", "slack_export")


def test_file_digest_is_that_of_the_bytes_on_disk(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_digest(str(tmp_path / "a")).startswith("ba7816bf8f01cfea")


# --- Compression --------------------------------------------------------------------------


def packed(kind: str, data: bytes) -> bytes:
    return {
        "jsonl": lambda: data,
        "gz": lambda: gzip.compress(data),
        "zst": lambda: zstandard.compress(data),
    }[kind]()


@pytest.mark.parametrize("kind", ["jsonl", "gz", "zst"])
@pytest.mark.parametrize("suffix", ["right", "none"])
def test_compression_is_told_by_content(tmp_path: Path, kind: str, suffix: str) -> None:
    path = tmp_path / ("x.jsonl" if suffix == "none" else f"x.{kind}")
    path.write_bytes(
        packed(kind, log(*range(500)))
        if kind == "jsonl"
        else packed(kind, log(*range(250))) + packed(kind, log(*range(250, 500)))
    )
    assert ids(read(path)) == [f"m{i}" for i in range(500)]


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_a_cut_archive_keeps_what_was_read(tmp_path: Path, kind: str) -> None:
    first, second = packed(kind, log(1, 2)), packed(kind, log(3, 4))
    path = tmp_path / f"x.jsonl.{kind}"
    path.write_bytes(first + second[:-4])
    blocks = read(path)
    assert ids(blocks)[:2] == ["m1", "m2"]
    assert reasons(blocks) == ["corrupt_archive"]
    (dead,) = pa.concat_tables([b.dead_letters for b in blocks]).to_pylist()
    assert "the file ends early; everything before was read" in dead["detail"]
    assert "fetch the file again" in dead["detail"]


@pytest.mark.parametrize("kind", ["gz", "zst"])
@pytest.mark.parametrize("damage", [b"", b"junk"])
def test_junk_in_an_archive(tmp_path: Path, kind: str, damage: bytes) -> None:
    path = tmp_path / f"x.jsonl.{kind}"
    path.write_bytes(packed(kind, log(1)) + b"junk" if damage else b"")
    blocks = read(path)
    assert ids(blocks) == (["m1"] if damage else [])
    assert reasons(blocks) == ["corrupt_archive"]


def test_flipped_bits_in_gzip(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(log(*range(2000))))
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "x.gz").write_bytes(data)
    assert reasons(read(tmp_path / "x.gz"))[-1] == "corrupt_archive"


def test_tape_padding_after_gzip(tmp_path: Path) -> None:
    (tmp_path / "x.gz").write_bytes(gzip.compress(log(1)) + b"\0" * 512)
    assert ids(read(tmp_path / "x.gz")) == ["m1"]


def test_a_bomb_is_one_long_line(tmp_path: Path) -> None:
    bomb = zstandard.compress(b"x" * 30_000_000)
    (tmp_path / "x.zst").write_bytes(bomb + zstandard.compress(b"\n" + log(1)))
    blocks = read(tmp_path / "x.zst")
    assert ids(blocks) == ["m1"]
    assert reasons(blocks) == ["line_too_long"]


# --- Lines and blocks ---------------------------------------------------------------------


@given(
    st.lists(st.sampled_from([b"a", b"\n", b"\r\n", b"x" * 30]), max_size=30), st.integers(1, 40)
)
def test_lines_do_not_depend_on_the_chunks(pieces: list[bytes], size: int) -> None:
    data = b"".join(pieces)
    chunks = [data[i : i + size] for i in range(0, len(data), size)]
    whole = list(enumerate(data.split(b"\n"), 1))
    if whole[-1][1] == b"":
        whole.pop()
    seen: list[tuple[int, bytes]] = []
    for line in iter_lines(chunks, 50):
        if isinstance(line, LongLine):
            expected = whole[len(seen)][1]
            assert line.cut == CutInput(expected, len(expected), sha256(expected).digest())
            seen.append((line.number, line.cut.head))
        else:
            assert not isinstance(line, BrokenEnd)
            seen.append(line)
    assert seen == whole


def test_a_line_over_the_limit_is_named_alike_wherever_chunks_end(tmp_path: Path) -> None:
    long = b"{" + b"z" * 3_000_000
    (tmp_path / "a.jsonl").write_bytes(log(1) + long + b"\n" + log(2))
    limits = ParseLimits(max_line_bytes=1000)
    blocks = read(tmp_path / "a.jsonl", limits=limits)
    assert ids(blocks) == ["m1", "m2"]
    (dead,) = pa.concat_tables([b.dead_letters for b in blocks]).to_pylist()
    direct = parse_jsonl([(2, long)], str(tmp_path / "a.jsonl"), limits).dead_letters.to_pylist()
    assert [dead] == direct
    assert len(dead["raw"]) == MAX_RAW_BYTES
    assert "the line has 3000001 bytes, the limit is 1000" in dead["detail"]


def test_blocks_bound_memory_and_lose_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(log(*range(1000)))
    blocks = read(tmp_path / "a.jsonl", block_bytes=10_000)
    assert len(blocks) > 10
    assert ids(blocks) == [f"m{i}" for i in range(1000)]
    assert totals(blocks)["in"] == 1000


def test_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(log(1, 2)))))
    assert ids(read("-")) == ["m1", "m2"]


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"")
    assert read(tmp_path / "a.jsonl") == []


# --- Other formats ------------------------------------------------------------------------


def test_slack_folder_resolves_names_and_channels() -> None:
    files = expand_inputs(str(SAMPLES / "slack_export"), "slack_export")
    rows = [
        r for f in files for b in read_blocks(f, "slack_export") for r in b.messages.to_pylist()
    ]
    assert {r["conversation_id"] for r in rows} == {"C01GENERAL", "C02RANDOM"}
    assert {"Lena Vogt", "Omar Haddad", "Order bot"} <= {r["speaker"] for r in rows}
    assert any(r["text"].startswith("@Lena Vogt congratulations! 2 < 20") for r in rows)


def test_openai_lines_survive_a_bad_line() -> None:
    blocks = read(SAMPLES / "openai_chat.jsonl", "openai_chat")
    assert reasons(blocks) == ["not_json"]
    assert totals(blocks)["out"] == 12
    assert len({c for b in blocks for c in b.messages["conversation_id"].to_pylist()}) == 4


def test_line_formats_refuse_long_and_odd_lines(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf{}\r\n\n\xff\n" + b"x" * 300 + b"\n")
    blocks = read(tmp_path / "a.jsonl", "openai_chat", limits=ParseLimits(max_line_bytes=200))
    assert reasons(blocks) == ["missing_field", "invalid_utf8", "line_too_long"]
    assert totals(blocks)["filtered.blank_line"] == 1


def test_a_deep_line_of_a_chat_log_is_refused(tmp_path: Path) -> None:
    deep = b"[" * 900 + b"]" * 900
    (tmp_path / "a.jsonl").write_bytes(b'{"messages": %s}' % deep)
    blocks = read(tmp_path / "a.jsonl", "openai_chat")
    assert reasons(blocks) == ["bad_value"]


def test_a_document_is_cut_between_conversations(tmp_path: Path) -> None:
    chats = [
        {"id": str(i), "conversations": [{"from": "human", "value": "x" * 99}] * 3}
        for i in range(50)
    ]
    (tmp_path / "a.json").write_bytes(gzip.compress(json.dumps(chats).encode()))
    blocks = read(tmp_path / "a.json", "sharegpt", block_bytes=2000)
    assert len(blocks) > 5
    assert all(b.messages.num_rows % 3 == 0 for b in blocks)
    assert totals(blocks)["out"] == 150


def test_a_broken_document_keeps_what_came_before(tmp_path: Path) -> None:
    good = json.dumps({"id": "1", "conversations": [{"from": "human", "value": "x"}]}).encode()
    (tmp_path / "a.json").write_bytes(b"[" + good + b", {oops}]")
    blocks = read(tmp_path / "a.json", "sharegpt")
    assert totals(blocks)["out"] == 1
    assert reasons(blocks) == ["not_json"]
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(b"[" + good + b",")[:-3])
    blocks = read(tmp_path / "b.json.gz", "sharegpt")
    assert totals(blocks)["out"] == 1
    assert reasons(blocks) == ["corrupt_archive"]


def test_an_item_too_large_is_an_input_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operators.parse.documents.MAX_ITEM_BYTES", 10)
    (tmp_path / "a.json").write_bytes(b'["' + b"x" * 3_000_000 + b'"]')
    with pytest.raises(InputError, match=r"document too large .*Split it, or write JSON Lines"):
        read(tmp_path / "a.json", "locomo")


def test_sample_of_bad_lines() -> None:
    blocks = read(REPO / "samples/bad_lines.jsonl")
    assert totals(blocks)["out"] == 4
    assert Counter(reasons(blocks)) == {
        "not_json": 2,
        "not_an_object": 1,
        "missing_field": 2,
        "no_time_zone": 1,
        "bad_timestamp": 1,
        "empty_field": 1,
        "wrong_type": 3,
        "bad_value": 1,
        "invalid_utf8": 1,
    }


@pytest.mark.parametrize("name", FORMATS)
def test_names_of_files_are_told_as_people_write_them(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        expand_inputs(str(tmp_path), name)
    told = caught.value.fix.partition("are named ")[2].partition(" (also .gz, .zst); see")[0]
    for glob in told.split(", "):
        example = glob.replace("*", "x").replace("YYYY-MM-DD", "2025-01-31")
        assert FORMATS[name].files.fullmatch(example), glob
        assert FORMATS[name].files.fullmatch(f"{example}.gz"), glob
