"""What `--person` finds: whole words of any script, however the log wrote them down."""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pytest

from jobs.forget import Target, forget
from operators.parse.base import encode_json
from schemas.message import canonical_json
from tests.jobs.test_forget import ingest, ingest_dead, leaks, trivial_rebuild
from tests.transforms.warehouse.rows import make_rows
from transforms.event_time.lateness import TooLate, too_late_letters
from transforms.warehouse.commit import ChangeSet, commit, insert_new
from transforms.warehouse.connection import Warehouse, open_warehouse
from transforms.warehouse.read import read_table

pytestmark = pytest.mark.slow  # Each test commits several times.

# Behind each escape that JSON has, and inside other words.
NOTES: Mapping[str, str] = {
    "first": "Zdenka was here",
    "line": "hello\nZdenka",
    "tab": "a\tZdenka\tb",
    "control": "x\u0001Zdenka\u001f",
    "nul": "\0Zdenka\0",
    "page": "\fZdenka\bwas here",
    "return": "hello\r\nZDENKA\r\n",
    "quoted": 'they call her "Zdenka"',
    "backslash": "C:\\Zdenka\\",
    "newline of a path": "C:\\nZdenka",
    "longer": "hello\nZdenkas",
}
OTHER_NOTES = {"newline of a path", "longer"}


def rows_with(fields: Mapping[str, Mapping[str, Any]]) -> pa.Table:
    """Messages of one conversation: fields by message id."""
    given = [
        {"conversation_id": "c1", "message_id": i, "text": "-", "speaker": "Ana", **row}
        for i, row in fields.items()
    ]
    return make_rows("messages", given)


def named_by(warehouse: Warehouse, name: str) -> set[str]:
    """Ids of the messages that go."""
    before = ids(warehouse, "messages", "message_id")
    forget(warehouse, Target("person", name), trivial_rebuild)
    return before - ids(warehouse, "messages", "message_id")


def letters(warehouse: Warehouse) -> set[str]:
    return ids(warehouse, "dead_letters", "dead_letter_id")


def ids(warehouse: Warehouse, table: str, column: str) -> set[str]:
    return set(map(str, read_table(warehouse, table)[column].to_pylist()))


def test_behind_the_escapes_of_json(warehouse: Warehouse) -> None:
    rows = {f"m {what}": {"metadata": canonical_json({"note": n})} for what, n in NOTES.items()}
    rows |= {f"a {what}": {"attachments": canonical_json([n])} for what, n in NOTES.items()}
    commit(warehouse, [ChangeSet("messages", inserts=rows_with(rows))])
    late = rows_with({"late": {"metadata": canonical_json({NOTES["line"]: 1})}})
    commit(warehouse, [insert_new("dead_letters", too_late_letters(TooLate(late, [0], ["log"])))])
    ingest_dead(warehouse, {what: encode_json({"note": note}) for what, note in NOTES.items()})

    gone = named_by(warehouse, "Zdenka")

    assert gone == {f"{column} {what}" for column in "ma" for what in NOTES.keys() - OTHER_NOTES}
    assert letters(warehouse) == OTHER_NOTES


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Quimby Jones", ["Quimby\nJones", "quimby\u0001\tjones", "Quimby\u00a0Jones"]),
        ('Jo "Ace" Lee', ['Jo "Ace" Lee', 'JO\n"ACE"\nLEE']),
        ("Quimby\nJones", ["Quimby Jones", "Quimby\r\nJones"]),
        ("a\\nb", ["a\\nb"]),
        ("O'Neil", ["O'Neil's"]),
    ],
)
def test_names_of_several_words_and_with_signs(
    warehouse: Warehouse, name: str, written: Iterable[str]
) -> None:
    rows: dict[str, dict[str, Any]] = {}
    for number, text in enumerate(written):
        rows[f"text {number}"] = {"text": f"by {text}"}
        rows[f"metadata {number}"] = {"metadata": canonical_json({"by": text})}
    other = {"other": {"text": "Quimby and Jones, Jo Lee, Neil, a\nb"}}
    two_fields = {"two fields": {"speaker": "Quimby", "text": "Jones was here"}}
    inserts = rows_with({**rows, **other, **two_fields})
    commit(warehouse, [ChangeSet("messages", inserts=inserts)])
    raws = {f"text {n}": encode_json({"text": text}) for n, text in enumerate(written)}
    ingest_dead(warehouse, {**raws, "other": b"Quimby and Jones, Jo Lee, Neil, ab"})

    assert named_by(warehouse, name) == set(rows)
    assert letters(warehouse) == {"other"}


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("राम", {"राम आया", "❤\ufe0fराम।"}),
        ("रामी", {"रामी आई"}),
        ("Жанна", {"ЖАННА пришла"}),
    ],
)
def test_a_sign_that_belongs_to_a_letter_goes_on_with_the_word(
    warehouse: Warehouse, name: str, gone: set[str]
) -> None:
    texts = ["राम आया", "रामी आई", "रामा", "❤\ufe0fराम।", "ЖАННА пришла", "Жанной"]
    ingest(warehouse, {"c1": {text: text for text in texts}})
    ingest_dead(warehouse, {text: f"{text} broken".encode() for text in texts})

    assert named_by(warehouse, name) == gone
    assert letters(warehouse) == set(texts) - gone


def test_a_role_is_a_name_and_an_id_is_none(warehouse: Warehouse) -> None:
    fields = {
        "role": {"role": "Lenka"},
        "Lenka-1": {"role": "user"},
        "session": {"given_session_id": "Lenka"},
    }
    commit(warehouse, [ChangeSet("messages", inserts=rows_with(fields))])
    late = rows_with({"late": {"role": "Lenka"}})
    commit(warehouse, [insert_new("dead_letters", too_late_letters(TooLate(late, [0], ["log"])))])

    assert named_by(warehouse, "lenka") == {"role"}
    assert letters(warehouse) == set()


def test_many_refused_lines_of_any_bytes(warehouse: Warehouse) -> None:
    """More than are looked at at once, with half a surrogate pair among them."""
    raws = {f"line {n}": f'{{"\\ud800": "Ana {n}"'.encode() for n in range(600)}
    raws |= {"first": b'"\\udc00Zdenka"', "last": b"\xffzdenka\xff"}
    ingest_dead(warehouse, raws)

    assert forget(warehouse, Target("person", "Zdenka"), trivial_rebuild).dead_letters == 2
    assert letters(warehouse) == {f"line {n}" for n in range(600)}
    assert leaks(warehouse.path, "Zdenka") == []


@pytest.mark.parametrize("name", ["", " ", "\n\u200b\t"])
def test_a_name_that_says_nothing_is_refused(warehouse: Warehouse, name: str) -> None:
    ingest_dead(warehouse, {"line": b"kept"})
    with pytest.raises(ValueError, match="empty name"):
        forget(warehouse, Target("person", name), trivial_rebuild)
    with pytest.raises(ValueError, match="empty name"):
        forget(warehouse, Target("message", ""), trivial_rebuild)
    with open_warehouse(warehouse.path, read_only=True) as reader:
        assert letters(reader) == {"line"}
