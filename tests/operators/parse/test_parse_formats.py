from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.parse.base import Adapter, AdapterOptions, FileContext, Parsed
from operators.parse.formats import FORMATS, parse_items
from operators.parse.locomo import session_time
from operators.parse.longmemeval import haystack_time
from operators.parse.slack_export import SlackExportAdapter
from tests.effort import examples

ADAPTED = [name for name, f in FORMATS.items() if f.adapter is not None]


def adapter_of(name: str, options: AdapterOptions | None = None) -> Adapter:
    make = FORMATS[name].adapter
    assert make is not None
    return make(FileContext("general/2025-01-01.json"), options or AdapterOptions())


def parse(name: str, *items: object, options: AdapterOptions | None = None) -> Parsed:
    parsed = parse_items(enumerate(items, 1), adapter_of(name, options), "f")
    counters = parsed.counters
    assert counters["in"] == counters["out"] + counters["filtered"] + counters["dead_letters"]
    return parsed


def texts(parsed: Parsed) -> list[tuple[str, str]]:
    return [(r["speaker"], r["text"]) for r in parsed.messages.to_pylist()]


# --- OpenAI chat and ShareGPT -------------------------------------------------------------


def test_openai_chat_keeps_who_speaks_and_filters_the_rest() -> None:
    log = {
        "id": "x",
        "created": 100,
        "messages": [
            {"role": "system", "content": "Be kind."},
            {
                "role": "user",
                "name": "Ana",
                "content": [{"type": "text", "text": "Look"}, {"type": "image_url"}],
            },
            {"role": "assistant", "content": None, "tool_calls": [1]},
            {"role": "tool", "content": "{}"},
            {"role": "assistant", "content": "A plant.", "timestamp": "1970-01-02T00:00:00Z"},
        ],
    }
    parsed = parse("openai_chat", log)
    assert texts(parsed) == [("Ana", "Look [image: image]"), ("assistant", "A plant.")]
    assert parsed.messages["message_id"].to_pylist() == ["x/1", "x/4"]
    assert parsed.messages["timestamp"].to_pylist() == [
        datetime(1970, 1, 1, 0, 1, 41, tzinfo=UTC),
        datetime(1970, 1, 2, tzinfo=UTC),
    ]
    assert parsed.counters["filtered.role_system"] == 1
    assert parsed.counters["filtered.role_tool"] == 1
    assert parsed.counters["filtered.no_text"] == 1


def test_synthetic_times_depend_on_the_conversation_alone() -> None:
    one = {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}
    other = {"conversations": [{"from": "human", "value": "c"}]}
    options = AdapterOptions(start_time=datetime(2020, 1, 1, tzinfo=UTC), step_seconds=60)
    alone = parse("sharegpt", one, options=options).messages.to_pylist()
    later = parse("sharegpt", other, one, options=options).messages.to_pylist()
    assert later[1:] == alone
    assert [r["timestamp"].minute for r in alone] == [0, 1]
    assert alone[0]["conversation_id"].startswith("chat_")
    assert alone[0]["conversation_id"] != later[0]["conversation_id"]
    assert [r["role"] for r in alone] == ["user", "assistant"]


def test_without_options_made_up_times_start_in_1970() -> None:
    rows = parse("sharegpt", {"id": 7, "items": [{"from": "gpt", "value": "a"}]}).messages
    assert rows["timestamp"].to_pylist() == [datetime(1970, 1, 1, tzinfo=UTC)]
    assert rows["message_id"].to_pylist() == ["7/0"]


# --- ChatGPT export -----------------------------------------------------------------------


def node(name: str, parent: str | None, role: str = "user", **message: object) -> dict[str, object]:
    content = {"content_type": "text", "parts": [f"text of {name}"]}
    return {
        "id": name,
        "parent": parent,
        "message": {"id": name, "author": {"role": role}, "content": content, **message},
    }


def export(*nodes: dict[str, object], current: str) -> dict[str, object]:
    mapping = {n["id"]: n for n in nodes}
    return {"id": "c", "create_time": 50.5, "current_node": current, "mapping": mapping}


def test_chatgpt_export_follows_the_current_branch() -> None:
    item = export(
        {"id": "root", "parent": None, "message": None},
        node("a", "root"),
        node("old", "a", "assistant", create_time=60),
        node("new", "a", "assistant", create_time=61.25),
        node("tool", "new", "tool"),
        node("hid", "tool", metadata={"is_visually_hidden_from_conversation": True}),
        node(
            "pic",
            "hid",
            content={
                "content_type": "multimodal_text",
                "parts": [
                    {"content_type": "image_asset_pointer"},
                    {"content_type": "audio_transcription", "text": "hm"},
                ],
            },
        ),
        node("code", "pic", content={"content_type": "code", "text": "1"}),
        current="code",
    )
    parsed = parse("chatgpt_export", item)
    rows = parsed.messages.to_pylist()
    assert [(r["message_id"], r["timestamp"].timestamp(), r["seq"]) for r in rows] == [
        ("a", 50.5, 1),
        ("new", 61.25, 2),
        ("pic", 61.25, 5),
    ]
    assert rows[2]["text"] == "[image: image] hm"
    filtered = {k: v for k, v in parsed.counters.items() if k.startswith("filtered.")}
    assert filtered == {
        "filtered.other_branch": 1,
        "filtered.no_message": 1,
        "filtered.role_other": 1,
        "filtered.hidden": 1,
        "filtered.content_other": 1,
    }


@pytest.mark.parametrize(
    "item",
    [
        export(node("a", "gone"), current="a"),
        export(node("a", "b"), node("b", "a"), current="a"),
        export(node("a", None), current="gone"),
        {"mapping": {}, "id": "c"},
    ],
)
def test_chatgpt_export_refuses_a_broken_tree(item: object) -> None:
    (dead,) = parse("chatgpt_export", item).dead_letters.to_pylist()
    assert dead["reason"] == "bad_value"
    assert "current_node leads to no root" in dead["detail"]
    assert orjson.loads(dead["raw"]) == item


# --- Slack --------------------------------------------------------------------------------

SLACK = SlackExportAdapter.of_file(
    FileContext(
        "/x/general/2025-01-01.json",
        {
            "users.json": b'[{"id":"U1","real_name":"Ana Sol"},{"id":"U2","name":"bo"}, 3]',
            "channels.json": b'[{"id":"C1","name":"general"}]',
            "dms.json": b"broken",
        },
    )
)


def slack(*items: object) -> Parsed:
    return parse_items(enumerate(items, 1), SLACK, "f")


def test_slack_message() -> None:
    (row,) = slack(
        {"user": "U1", "ts": "1700000000.000200", "text": "hi", "thread_ts": "1.2"}
    ).messages.to_pylist()
    assert row["conversation_id"] == "C1"
    assert row["message_id"] == "1700000000.000200"
    assert row["speaker"] == "Ana Sol"
    assert row["timestamp"] == datetime(2023, 11, 14, 22, 13, 20, 200, tzinfo=UTC)
    assert row["metadata"] == '{"channel":"general","thread_ts":"1.2"}'


@pytest.mark.parametrize(
    ("markup", "plain"),
    [
        ("<@U1> and <@U2|bob> and <@U9>", "@Ana Sol and @bob and @U9"),
        ("<#C1|general> <#C2>", "#general #C2"),
        ("<!here> <!subteam^S1|@team> <!date^1^x|May>", "@here @team May"),
        ("<http://a.b|site> <http://a.b>", "site (http://a.b) http://a.b"),
        ("<mailto:a@b.c|a@b.c>", "a@b.c"),
        ("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 < 2 && 3 > 2"),
    ],
)
def test_slack_markup_becomes_plain_text(markup: str, plain: str) -> None:
    assert SLACK.plain_text(markup) == plain


def test_slack_edits_are_revisions_of_the_same_message() -> None:
    first = {"user": "U1", "ts": "10.1", "text": "one"}
    edited = {**first, "text": "two", "edited": {"ts": "20.5"}}
    changed = {"subtype": "message_changed", "ts": "30.1", "message": {**first, "text": "three"}}
    rows = slack(first, edited, changed).messages
    assert rows["message_id"].to_pylist() == ["10.1"] * 3
    assert rows["revision"].to_pylist() == [0, 20, 30]


def test_slack_files_bots_and_what_is_filtered() -> None:
    parsed = slack(
        {"user": "U2", "ts": "1.1", "text": "see", "files": [{"name": "a.pdf"}]},
        {"subtype": "bot_message", "bot_id": "B1", "username": "Bot", "ts": "2.1", "text": "x"},
        {"subtype": "channel_join", "user": "U1", "ts": "3.1", "text": "joined"},
        {"user": "U1", "ts": "4.1", "text": " "},
    )
    assert texts(parsed) == [("bo", "see [shares a file: a.pdf]"), ("Bot", "x")]
    assert parsed.messages["role"].to_pylist() == [None, "bot"]
    assert parsed.counters["filtered.subtype"] == parsed.counters["filtered.no_text"] == 1


# --- Benchmarks ---------------------------------------------------------------------------


def test_benchmark_times() -> None:
    assert session_time("1:56 pm on 8 May, 2023") == datetime(2023, 5, 8, 13, 56, tzinfo=UTC)
    assert session_time("12:09 am on 13 September, 2023") == datetime(2023, 9, 13, 0, 9, tzinfo=UTC)
    assert haystack_time("2023/05/20 (Sat) 02:21") == datetime(2023, 5, 20, 2, 21, tzinfo=UTC)
    for bad in (None, 5, "", "soon", "1:56 pm on 31 June, 2023", "2023/02/30 (Thu) 00:00"):
        assert session_time(bad) is None
        assert haystack_time(bad) is None


def test_locomo_orders_sessions_by_number() -> None:
    turn = {"speaker": "A", "dia_id": "D1:1", "text": "hi"}
    time = "1:56 pm on 8 May, 2023"
    conversation = {f"session_{n}": [turn | {"dia_id": f"D{n}:1"}] for n in (10, 2)}
    conversation |= {f"session_{n}_date_time": time for n in (2, 10, 11)}
    parsed = parse("locomo", {"sample_id": "s", "conversation": conversation})
    assert parsed.messages["message_id"].to_pylist() == ["s/D2:1", "s/D10:1"]
    assert parsed.messages["seq"].to_pylist() == [0, 1]


# --- What a user can get wrong ------------------------------------------------------------

TURN = {"speaker": "A", "dia_id": "D1:1", "text": "hi"}


@pytest.mark.parametrize(
    ("name", "item", "reason", "detail"),
    [
        ("openai_chat", {}, "missing_field", 'no "messages" array'),
        ("openai_chat", [], "missing_field", 'no "messages" array'),
        ("openai_chat", {"messages": [], "created": "x"}, "bad_timestamp", "not RFC 3339"),
        ("openai_chat", {"messages": [], "created": []}, "bad_timestamp", "give epoch seconds"),
        ("openai_chat", {"id": "c", "messages": [3]}, "missing_field", "turn 0 of 'c' has no role"),
        ("openai_chat", {"messages": [{"role": "user", "content": 3}]}, "wrong_type", "no parts"),
        (
            "openai_chat",
            {"messages": [{"role": "user", "content": "a", "created": "x"}]},
            "bad_timestamp",
            "turn 0",
        ),
        ("sharegpt", {"id": 1}, "missing_field", 'no "conversations" array'),
        ("sharegpt", {"conversations": [], "created": True}, "bad_timestamp", "created is a bool"),
        ("sharegpt", {"conversations": [{}]}, "missing_field", "has no role"),
        ("chatgpt_export", {}, "missing_field", 'no "mapping" object'),
        (
            "chatgpt_export",
            export(node("a", None, create_time="x"), current="a"),
            "bad_timestamp",
            "RFC 3339",
        ),
        ("slack_export", 5, "not_an_object", "is this a day file"),
        ("slack_export", {"user": "U"}, "missing_field", 'no "ts"'),
        ("slack_export", {"ts": "1.0"}, "missing_field", "has no author"),
        (
            "slack_export",
            {"ts": "x", "user": "U"},
            "bad_timestamp",
            "ts: 'x' is no time in seconds",
        ),
        ("slack_export", {"subtype": "message_changed"}, "missing_field", "message_changed"),
        ("locomo", {"sample_id": "s"}, "missing_field", "is this a LoCoMo file"),
        (
            "locomo",
            {"sample_id": "s", "conversation": {"session_1": [TURN]}},
            "bad_timestamp",
            "session_1_date_time must read like",
        ),
        (
            "locomo",
            {
                "sample_id": "s",
                "conversation": {
                    "session_1_date_time": "1:56 pm on 8 May, 2023",
                    "session_1": [{}],
                },
            },
            "missing_field",
            "no dia_id",
        ),
        ("longmemeval", {}, "missing_field", "is this a LongMemEval file"),
        (
            "longmemeval",
            {"question_id": "q", "haystack_sessions": [[TURN]], "haystack_dates": []},
            "bad_timestamp",
            "haystack_dates[0] must read like",
        ),
        (
            "longmemeval",
            {
                "question_id": "q",
                "haystack_sessions": [[TURN]],
                "haystack_dates": ["2023/05/20 (Sat) 02:21"],
            },
            "missing_field",
            "no role",
        ),
    ],
)
def test_refusals_say_what_and_how(name: str, item: object, reason: str, detail: str) -> None:
    (dead,) = parse(name, item).dead_letters.to_pylist()
    assert dead["reason"] == reason
    assert detail in dead["detail"]


def test_odd_strings_of_a_document_cost_one_message() -> None:
    turns = [{"from": "human", "value": value} for value in ("good", "half \ud83d", "a\0b")]
    parsed = parse("sharegpt", {"id": "c", "conversations": turns})
    assert [t for _, t in texts(parsed)] == ["good", "a\ufffdb"]
    (dead,) = parsed.dead_letters.to_pylist()
    assert dead["reason"] == "invalid_utf8"
    assert "half a surrogate pair: remove them" in dead["detail"]


KEYS = (
    *("messages", "role", "content", "conversations", "from", "value", "create_time"),
    *("mapping", "current_node", "parent", "message", "author", "parts", "id"),
    *("ts", "user", "edited", "files", "subtype", "sample_id", "conversation", "session_1"),
    *("dia_id", "text", "session_1_date_time", "question_id", "haystack_sessions"),
    "haystack_dates",
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("name", ADAPTED)
@given(item=JSON)
@examples(60)
def test_no_json_breaks_an_adapter(name: str, item: object) -> None:
    assert parse(name, item).messages.equals(parse(name, item).messages)
