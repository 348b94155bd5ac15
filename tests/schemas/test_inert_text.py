"""Words that DuckLake would fill in are broken, and nothing else is changed."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from schemas.inert_text import inert, inert_table

WORDS = ("{DATA_PATH}", "{SNAPSHOT_ID}", "{METADATA_CATALOG}", "{AUTHOR}", "{NEXT_FILE_ID}")


@given(st.lists(st.sampled_from([*WORDS, "{", "}", "a", "{NAME}", " ", "\u2060"])).map("".join))
def test_no_word_is_left_and_the_rest_stays(text: str) -> None:
    made = inert(text)
    assert not any(word in made for word in WORDS)
    assert inert(made) == made
    assert made.replace("\u2060", "") == text.replace("\u2060", "")


def test_other_braces_stay() -> None:
    for text in ("{NAME}", "{data_path}", '{"DATA_PATH": 1}', "{DATA_PATH", "f{x}", ""):
        assert inert(text) == text


def test_tables_in_strings_and_lists() -> None:
    schema = pa.schema(
        [
            pa.field("text", pa.string(), nullable=False),
            pa.field("names", pa.list_(pa.string())),
            pa.field("vector", pa.list_(pa.float32())),
            pa.field("raw", pa.binary()),
        ]
    )
    rows = [
        {"text": "x {AUTHOR}", "names": ["{AUTHOR}", None], "vector": [0.5], "raw": b"{AUTHOR}"},
        {"text": "y", "names": None, "vector": None, "raw": None},
    ]
    made = inert_table(pa.Table.from_pylist(rows, schema=schema))
    assert made.schema == schema
    assert made.to_pylist() == [
        {**rows[0], "text": "x {\u2060AUTHOR}", "names": ["{\u2060AUTHOR}", None]},
        rows[1],
    ]
