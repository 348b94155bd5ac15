"""The operator: schema, spans, coverage, determinism, independence of sessions."""

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.extract.rule_facts import RuleFacts
from operators.extract.sentences import split_units
from operators.two_turn_cells import TwoTurnCells
from schemas.ids import content_hash, content_id
from schemas.tables import TABLES
from tests.effort import examples

NOON = datetime(2023, 5, 8, 12, tzinfo=UTC)


def messages(
    *said: tuple[str, str], session: str = "s1", role: str | None = None, **more: Any
) -> pa.Table:
    rows = [
        {
            "tenant": "default",
            "conversation_id": "c1",
            "message_id": f"{session}/m{i}",
            "content_hash": content_hash(speaker, text),
            "revision": 0,
            "is_current": True,
            "conflict": False,
            "speaker": speaker,
            "role": role,
            "timestamp": NOON + timedelta(minutes=i),
            "seq": i,
            "text": text,
            "session_id": session,
            **more,
        }
        for i, (speaker, text) in enumerate(said)
    ]
    return pa.Table.from_pylist(rows, schema=TABLES["messages"].schema)


def run(table: pa.Table, **parameters: Any) -> pa.Table:
    cells = TwoTurnCells().run({"messages": table}, NoModels()).tables["cells"]
    result = RuleFacts(**parameters).run({"messages": table, "cells": cells}, NoModels())
    counters = result.counters
    facts = result.tables["facts"]
    assert counters["in"] == counters["out"] + counters["filtered"]
    assert counters["out"] == facts.num_rows
    assert facts.schema == TABLES["facts"].schema
    facts.validate(full=True)
    return facts


class NoModels:
    def embed(self, texts: Any, model_id: str) -> Any:
        raise AssertionError("rules call no model")


CHAT = [
    ("Nora", "Hey Sam! I just moved to Lisbon yesterday. I'm so happy here!"),
    ("Sam", "Wow! How do you like it? I work at Initech now."),
    ("Nora", "I love it. My dog Rex barks at the trams. See you soon!"),
    ("Sam", "ok!"),
    ("Nora", "Where do you live?"),
    ("Sam", "Porto."),
]


def texts(facts: pa.Table) -> list[str]:
    return facts.column("text").to_pylist()


def test_statements_are_self_contained() -> None:
    assert texts(run(messages(*CHAT))) == [
        "Nora just moved to Lisbon yesterday (7 May 2023). Nora is so happy here!",
        "Sam: How does Nora like it? Sam works at Initech now.",
        "Nora loves it. Nora's dog Rex barks at the trams.",
        "Nora: Where does Sam live?",
        'Sam, asked "Where do you live?": Porto.',
    ]


def test_columns() -> None:
    row = run(messages(*CHAT)).to_pylist()[0]
    text = CHAT[0][1]
    assert row["fact_id"] == content_id(
        "fact", "default", "c1", "s1/m0", content_hash("Nora", text), 0
    )
    assert text[row["span_start"] : row["span_end"]] == text[9:]
    assert (row["subject"], row["attribute"], row["value"]) == ("Nora", "home_city", "Lisbon")
    assert (row["occurred_start"], row["occurred_end"], row["time_text"]) == (
        datetime(2023, 5, 7, tzinfo=UTC),
        datetime(2023, 5, 8, tzinfo=UTC),
        "yesterday",
    )
    assert (row["kind"], row["status"], row["extractor"], row["importance"]) == (
        "experiential",
        "active",
        "rule_facts",
        0.8,
    )
    assert row["entities"] == ["Nora", "Lisbon"]
    assert row["source_message_ids"] == ["s1/m0"]
    assert all(
        row[name] is None for name in ("canonical_id", "valid_from", "valid_to", "superseded_by")
    )


def test_a_quoted_question_is_a_source() -> None:
    assert run(messages(*CHAT)).to_pylist()[-1]["source_message_ids"] == ["s1/m5", "s1/m4"]


def test_a_run_of_self_statements_is_one_fact_each() -> None:
    said = "I'm Nora, I live in Rome and I work at Acme Press as a cook. I love rain, you know."
    rows = run(messages(("Nora", said))).to_pylist()
    assert [(r["attribute"], r["value"]) for r in rows] == [
        ("home_city", "Rome"),
        ("employer", "Acme Press"),
    ]
    assert [r["text"] for r in rows] == [
        "Nora is Nora, Nora lives in Rome",
        "Nora works at Acme Press as a cook. Nora loves rain, you know.",
    ]
    assert said[rows[1]["span_start"] :].startswith("I work at")


def test_sentences_with_the_same_attribute_or_none_stay_together() -> None:
    said = "I live in Rome, I like it and I sing. My sister Ana sings too. I live in Rome."
    assert len(run(messages(("Nora", said)))) <= 3
    assert len(run(messages(("Nora", "I live in Rome and I sing a lot. I live in Rome!")))) == 1


def test_a_short_answer_sees_the_question_of_the_cell_before() -> None:
    facts = run(
        messages(
            ("Nora", "I was away for a while, sorry."),
            ("Sam", "When do you fly home then?"),
            ("Nora", "Next week."),
        )
    )
    row = facts.to_pylist()[-1]
    assert row["text"].startswith('Nora, asked "When do you fly home then?": Next week')
    assert row["source_message_ids"] == ["s1/m2", "s1/m1"]


def test_a_corrected_day_is_of_the_month_spoken_of() -> None:
    facts = run(messages(("Nora", "The gig is on 14 July."), ("Sam", "Sorry, it's the 21st!")))
    assert "(21 July 2023)" in texts(facts)[1]


def test_bare_questions_count_little() -> None:
    facts = run(messages(("Nora", "And what do you do?"), ("Sam", "Nora?? Running?")))
    assert all(r["importance"] <= 0.2 for r in facts.to_pylist())


def test_you_stays_among_three() -> None:
    facts = run(
        messages(
            ("Nora", "I saw you in Rome."), ("Sam", "Nice trip it was."), ("Eva", "I was there.")
        )
    )
    assert texts(facts)[0] == "Nora saw you in Rome."


def test_generic_speakers() -> None:
    facts = run(
        messages(
            ("user", "I need a hotel in Rome. Can you help?"),
            ("assistant", "I found three that fit your budget."),
        )
    )
    assert texts(facts) == [
        "User needs a hotel in Rome. Can you help?",
        "Assistant found three that fit User's budget.",
    ]


def test_long_answers_keep_their_wording() -> None:
    items = "\n".join(
        f"{i}. I suggest that you visit place number {i} of the many old places today."
        for i in range(1, 20)
    )
    facts = run(
        messages(
            ("user", "Tell me about the old places."),
            ("assistant", f"Some ideas for you:\n\n{items}"),
        )
    )
    answers = [t for t in texts(facts) if "suggest" in t]
    assert all("I suggest that you visit" in t and "(8 May 2023)" not in t for t in answers)
    assert answers[1].startswith("Some ideas for you: ")
    assert all(len(t) <= 620 for t in answers)


def test_code_is_one_statement() -> None:
    code = "```py\n" + "print('x')\n" * 100 + "```"
    facts = run(messages(("Nora", f"Look at my loop.\n{code}\nIt prints a lot.")))
    assert [len(t) for t in texts(facts)][1] < 310
    assert facts.column("importance").to_pylist()[1] < 0.2


def test_parameters_change_the_output_and_the_fingerprint() -> None:
    table = messages(*CHAT)
    plain = run(table, resolve_dates=False, rewrite_first_person=False, answer_context=False)
    assert texts(plain)[0] == "I just moved to Lisbon yesterday. I'm so happy here!"
    assert texts(plain)[-1] == "Porto."
    assert RuleFacts(max_chars=200).fingerprint() != RuleFacts().fingerprint()
    assert len(run(table, max_chars=40)) > len(run(table))


def test_a_message_in_no_cell_is_an_error() -> None:
    with pytest.raises(ValueError, match="in no cell"):
        RuleFacts().run({"messages": messages(*CHAT), "cells": TABLES["cells"].empty()}, NoModels())


def test_row_order_and_company_do_not_matter() -> None:
    first = messages(*CHAT)
    second = messages(
        ("Eva", "I met Tom in Oslo last week."),
        ("Nora", "You have a nice time there."),
        session="s2",
    )
    both = pa.concat_tables([first, second])
    order = list(range(both.num_rows))
    random.Random(7).shuffle(order)
    whole = run(both.take(order)).to_pylist()
    apart = run(first).to_pylist() + run(second).to_pylist()
    assert sorted(whole, key=lambda r: r["fact_id"]) == sorted(apart, key=lambda r: r["fact_id"])
    assert whole == run(both).to_pylist()
    keys = [(r["event_time"], r["seq"], r["message_id"], r["ordinal"]) for r in whole]
    assert keys == sorted(keys)


def test_all_content_is_covered() -> None:
    text = (
        "I bought a red bike in Oslo.\n\n# Plans\n- ride to the sea\n- sleep in a tent\n\n"
        "| day | place |\n|---|---|\n| one | Moss |\n\nThen we rest for a while; then we cook. "
        * 12
    )
    rows = run(messages(("Nora", text))).to_pylist()
    covered = set[int]()
    for row in rows:
        assert 0 <= row["span_start"] < row["span_end"] <= len(text)
        covered.update(range(row["span_start"], row["span_end"]))
    assert not [i for i, c in enumerate(text) if c.isalnum() and i not in covered]


CHARACTERS = st.text(
    alphabet=st.one_of(st.characters(), st.sampled_from("I'm my you. !?\n#*-|`\"[]()’“”AaZ9 \t")),
    max_size=400,
)


@given(CHARACTERS)
@examples(150)
def test_units_cover_any_text(text: str) -> None:
    units = split_units(text)
    assert all(a.end <= b.start for a, b in pairwise(units))
    covered = {i for u in units for i in range(u.start, u.end)}
    assert not [i for i, c in enumerate(text) if c.isalnum() and i not in covered]


@given(
    st.lists(CHARACTERS.map(lambda t: t.encode("utf-8", "ignore").decode()), min_size=1, max_size=4)
)
@examples(100)
def test_any_text_goes_through(said: list[str]) -> None:
    table = messages(*((("Nora", "Sam", "user")[i % 3], text) for i, text in enumerate(said)))
    for row in run(table).to_pylist():
        assert row["text"].strip()
        assert 0.0 <= row["importance"] <= 1.0
        assert row["time_text"] is None or row["occurred_start"] < row["occurred_end"]


@pytest.mark.parametrize(
    "piece",
    [
        "I ",
        "A ",
        "Aa. ",
        "my you ",
        '"',
        "1 ",
        "1. ",
        "- ",
        "in 1 ",
        "**a",
        "|",
        "[image ",
        "A-",
        "\n",
        "I'm ",
        "aA1/",
    ],
)
def test_long_runs_take_linear_time(piece: str) -> None:
    long_text = piece * (60_000 // len(piece))
    start = datetime.now(UTC)
    run(messages(("Nora", long_text)))
    run(messages(("Nora", long_text[:1900])))
    assert datetime.now(UTC) - start < timedelta(seconds=8)
