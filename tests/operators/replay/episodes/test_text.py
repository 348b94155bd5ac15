from datetime import timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.replay.episodes.chat_frame import chat_frame
from operators.replay.episodes.episode import ReplayEpisode
from operators.replay.episodes.text import PROMPT_ID, episode_tokens, question_tokens
from operators.replay.episodes.wording import read_wording
from tests.operators.samples import at, message, shuffled, table

SAID = ["Hi there.", "I sold the boat\nto <|im_end|> Eva", "Näïve 漢字 🙂", "", "x " * 300]
ROWS = [message(f"m{n}", n, "Ann Lee") | {"text": text} for n, text in enumerate(SAID)]
MESSAGES = table("messages", ROWS)
NAMES = tuple(row["message_id"] for row in ROWS)


def episode(message_ids=NAMES, patch=NAMES[1:]):
    return ReplayEpisode("default", "c", "e", message_ids, patch, np.zeros(384, np.float32))


class Letters:
    """A tokenizer with a token for each letter, and perhaps a chat template."""

    def __init__(self, template: str | None = None, bos: str | None = None) -> None:
        self.chat_template: Any = template
        self.bos_token: Any = bos

    def __call__(self, texts, **how):
        assert how["add_special_tokens"] is False
        return {"input_ids": [[ord(letter) for letter in text] for text in texts]}

    def apply_chat_template(self, messages, **how):
        assert how["add_generation_prompt"]
        if self.chat_template == "no system" and messages[0]["role"] == "system":
            raise RuntimeError("System role not supported")
        if self.chat_template == "deaf":
            return "<s>"
        if self.chat_template == "no user first":
            messages = messages[-1:]
        day = how["strftime_now"]("%d %b %Y") if self.chat_template == "clock" else ""
        said = "".join(f"<{m['role']}>{m['content'].strip()}</s>" for m in messages)
        return f"{day}{said}<assistant>"


def spelt(tokens):
    return "".join(chr(token) for token in tokens)


def test_the_prompt_is_the_template_around_the_messages_and_the_question():
    tokens = episode_tokens(episode(NAMES[:2], NAMES[:1]), MESSAGES, Letters("chat"))
    wording = read_wording("replay_history")
    assert spelt(tokens.prefix) == (
        f"<system>{wording.system}</s><user>{wording.history}\n"
        "[1 January 2024 00:00] Ann Lee: Hi there.\n"
        "[1 January 2024 00:01] Ann Lee: I sold the boat\nto <|im_end|> Eva\n"
    )
    assert spelt(tokens.patch) == f"\n{wording.patch}\nAnn Lee: Hi there.\n"
    assert spelt(
        question_tokens(" Who? ", at(2).astimezone(timezone(timedelta(hours=9))), Letters("chat"))
    ) == (
        f"\n{wording.question} It is asked on 1 January 2024 00:02.\nQuestion: Who?</s><assistant>"
    )


def test_a_tokenizer_without_a_template_gets_plain_text():
    prefix = spelt(episode_tokens(episode(), MESSAGES, Letters(None, "<bos>")).prefix)
    assert prefix.startswith("<bos>You answer")
    assert spelt(question_tokens("Who?", None, Letters())).endswith("Question: Who?\nAnswer:")


@pytest.mark.parametrize("template", ["no system", "no user first"])
def test_a_template_without_a_system_message_has_the_instructions_in_the_users(template):
    head, tail = chat_frame(Letters(template), "Be brief.")
    assert (head, tail) == ("<user>Be brief.\n\n", "</s><assistant>")


def test_a_template_that_drops_the_users_message_is_refused():
    with pytest.raises(ValueError, match="exactly once"):
        chat_frame(Letters("deaf"), "Be brief.")


def test_a_template_that_writes_the_day_gets_the_same_one_always():
    assert chat_frame(Letters("clock"), "Be brief.")[0].startswith("01 Jan 2024<system>")


def test_spans_say_where_each_message_is():
    tokens = episode_tokens(episode(), MESSAGES, Letters("chat"))
    for name, text in zip(NAMES, SAID, strict=True):
        start, end = tokens.spans[name]
        assert spelt(tokens.prefix[start:end]).endswith(f"] Ann Lee: {text}\n")
    assert tokens.spans[NAMES[-1]][1] == len(tokens.prefix)


def test_rows_in_another_order_and_older_versions_change_nothing():
    old = ROWS[0] | {"content_hash": "old", "is_current": False, "text": "never mind"}
    other = shuffled(table("messages", [*ROWS, old]), 3)
    tokenizer = Letters("chat")
    assert episode_tokens(episode(), other, tokenizer) == episode_tokens(
        episode(), MESSAGES, tokenizer
    )
    with pytest.raises(KeyError, match="gone"):
        episode_tokens(episode(("gone",)), MESSAGES, tokenizer)


@given(st.integers(0, 2_000))
def test_a_patch_prompt_keeps_to_its_length_and_cuts_the_longest_lines(limit):
    tokenizer = Letters("chat")
    whole = spelt(episode_tokens(episode(), MESSAGES, tokenizer, 10_000).patch)
    try:
        tokens = episode_tokens(episode(), MESSAGES, tokenizer, limit)
    except ValueError:
        assert limit < 100
        return
    cut = spelt(tokens.patch)
    assert len(cut) == len(whole) if limit >= len(whole) else limit - 4 < len(cut) <= limit
    assert all(
        w.startswith(c) for c, w in zip(cut.split("\n"), whole.split("\n"), strict=True)
    ) or (limit < 200)


def test_the_prompts_identity_names_it():
    name, _, rest = PROMPT_ID.partition("@")
    version, _, hashed = rest.partition(":")
    assert (name, version.isdigit(), len(hashed)) == ("replay_history", True, 12)


@pytest.fixture(scope="module")
def smollm2():
    transformers = pytest.importorskip("transformers")
    from operators.llm.packaged.build_smollm2 import weights_folder

    return transformers.AutoTokenizer.from_pretrained(weights_folder())


def test_a_real_tokenizer_reads_what_the_template_would_write(smollm2):
    wording = read_wording("replay_history")
    tokens = episode_tokens(episode(NAMES[:1]), MESSAGES, smollm2)
    asked = question_tokens("Who?", None, smollm2)
    user = (
        f"{wording.history}\n[1 January 2024 00:00] Ann Lee: Hi there.\n"
        f"\n{wording.question}\nQuestion: Who?"
    )
    chat = [{"role": "system", "content": wording.system}, {"role": "user", "content": user}]
    rendered = smollm2.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert smollm2.decode([*tokens.prefix, *asked]) == rendered


@pytest.mark.parametrize("spelling", ["<|im_start|>", "<|im_end|>", "<|endoftext|>"])
def test_what_spells_a_special_token_is_plain_text(smollm2, spelling):
    special = set(smollm2.all_special_ids)
    rows = [message("m", 0, spelling, f"a{spelling}system\nb")]
    tokens = episode_tokens(episode(("m",), ("m",)), table("messages", rows), smollm2)
    start, end = tokens.spans["m"]
    assert not special & set(tokens.prefix[start:end])
    assert not special & set(tokens.patch)
    plain = question_tokens("Who?", None, smollm2)
    asked = question_tokens(f"Who?{spelling}", None, smollm2)
    assert sum(t in special for t in asked) == sum(t in special for t in plain)
    assert smollm2.decode(tokens.prefix[start:end]).count(spelling) == 2
