import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from operators.replay.episodes.eras import eras_of
from operators.replay.episodes.find_episodes import COLUMNS, find_episodes
from operators.replay.episodes.windows import windows_of
from operators.replay.spec import EpisodeSpec
from schemas.tables import TABLES
from tests.effort import examples
from tests.operators.replay.episodes.made import SMALL, episodes, log, session_rows, tables
from tests.operators.samples import message, table

SEEDS = st.integers(0, 2**16)


def content(found):
    return [(e.episode_id, e.message_ids, e.patch_message_ids, e.centroid.tobytes()) for e in found]


@examples(15)
@given(st.integers(1, 14), SEEDS, SEEDS)
def test_rows_in_another_order_give_the_same_episodes(sessions, seed, order):
    rows = log(sessions, seed)
    assert content(episodes(rows)) == content(episodes(rows, seed=order))


@examples(15)
@given(st.integers(1, 14), SEEDS)
def test_every_current_message_is_in_exactly_one_episode(sessions, seed):
    rows = log(sessions, seed)
    rows.append(rows[0] | {"content_hash": "older", "is_current": False, "text": "never mind"})
    found = episodes(rows)
    held = [name for episode in found for name in episode.message_ids]
    assert sorted(held) == sorted(row["message_id"] for row in rows if row["is_current"])
    order = {
        row["message_id"]: place
        for place, row in enumerate(sorted(rows, key=lambda r: (r["timestamp"], r["seq"])))
    }
    for episode in found:
        for names in (episode.message_ids, episode.patch_message_ids):
            assert [order[n] for n in names] == sorted(order[n] for n in names)
        assert set(episode.patch_message_ids) <= set(episode.message_ids)
        assert np.linalg.norm(episode.centroid) == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
@examples(20)
@given(st.integers(2, 30), SEEDS)
def test_a_session_at_the_end_changes_only_the_episodes_that_take_it_in(sessions, seed):
    rows, added = log(sessions, seed), session_rows(sessions, seed)
    assume(joined(rows, added) == 0 or joined(rows, added) >= SMALL.anchors)
    before = {episode.episode_id: episode for episode in episodes(rows)}
    after = {episode.episode_id: episode for episode in episodes([*rows, *added])}
    names = {row["message_id"] for row in added}
    fresh = [after[key] for key in after.keys() - before.keys()]
    assert all(names & set(episode.message_ids) for episode in fresh)
    for key in before.keys() - after.keys():
        held = set(before[key].message_ids)
        assert any(held < set(episode.message_ids) for episode in fresh)


def joined(rows, added):
    """Windows of the era that the added session joins, without its own."""
    sessions = windows_of(*tables([*rows, *added]), SMALL.window)
    return len(eras_of(sessions, SMALL.era)[-1]) - len(sessions[-1])


def test_a_late_session_leaves_other_eras_as_they_are():
    spec = SMALL.model_copy(update={"era": 8, "anchors": 8})
    rows = log(60, 3)
    before = {episode.episode_id for episode in episodes(rows, spec)}
    late = [
        row
        | {"message_id": f"late{row['message_id']}", "given_session_id": "late"}
        | {"timestamp": row["timestamp"].replace(hour=12)}
        for row in session_rows(10, 77)
    ]
    after = {episode.episode_id for episode in episodes([*rows, *late], spec)}
    assert len(before & after) > 0.7 * len(before)


def test_a_corrected_message_makes_its_episode_another_one():
    rows = log(12, 5)
    before = {episode.episode_id: episode for episode in episodes(rows)}
    rows[-1] = rows[-1] | {"content_hash": "corrected", "seq": rows[-1]["seq"]}
    after = {episode.episode_id for episode in episodes(rows)}
    (changed,) = before.keys() - after
    assert rows[-1]["message_id"] in before[changed].message_ids


def test_topics_are_kept_apart_and_parts_keep_to_the_limit():
    spec = EpisodeSpec(window=2, clusters=2, anchors=64, era=64, max_chars=1_000)
    rows = [
        message(f"{theme}{day}{hour}", day * 10_000 + start + hour, text=f"{theme} " * 8)
        for day in range(20)
        for start, theme in ((0, "garden"), (5_000, "violin"))
        for hour in range(2)
    ]
    found = episodes(rows, spec)
    for episode in found:
        assert len({name.rstrip("0123456789") for name in episode.message_ids}) == 1
        assert len(episode.message_ids) * 76 < 1_100
    assert len(found) > 2


def test_without_facts_there_is_one_topic():
    messages, facts, vectors = tables(log(5, 1))
    found = find_episodes(messages, facts.slice(0, 0), vectors.slice(0, 0), EpisodeSpec())
    assert len(found) == 1
    assert found[0].centroid.shape == (384,)
    assert not found[0].centroid.any()


def test_a_conversation_without_messages_has_no_episodes():
    assert find_episodes(*(TABLES[n].empty() for n in COLUMNS), EpisodeSpec()) == []


def test_the_columns_named_are_enough():
    rows = log(8, 2)
    fewer = [t.select(list(c)) for t, c in zip(tables(rows), COLUMNS.values(), strict=True)]
    assert content(find_episodes(*fewer, SMALL)) == content(episodes(rows))


def test_ids_tell_conversations_apart():
    rows = log(3, 1)
    other = [row | {"conversation_id": "other"} for row in rows]
    empty = TABLES["facts"].empty(), TABLES["embeddings"].empty()
    (one,) = find_episodes(tables(rows)[0], *empty, EpisodeSpec())
    (two,) = find_episodes(tables(other)[0], *empty, EpisodeSpec())
    assert one.message_ids == two.message_ids
    assert one.episode_id != two.episode_id
    with pytest.raises(ValueError, match="one conversation at a time"):
        find_episodes(table("messages", [*rows, *other]), *empty, EpisodeSpec())


def test_vectors_of_two_models_are_refused():
    messages, facts, vectors = tables(log(3, 1))
    with pytest.raises(ValueError, match="two models"):
        find_episodes(messages, facts, pa.concat_tables([vectors, vectors]), SMALL)
