"""Brings the caches of a conversation up to its messages.

Episodes are a function of the log, and a cache's id says what it was made of; so what is missing
follows from the ids alone, and whatever a build had finished when it was killed is not made
again. Files come before their rows; see `transforms.warehouse.kv_files`.
"""

import json
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass

import pyarrow as pa

from jobs.embedding_models import model_of_warehouse, of_model
from jobs.replay.compressors import Compressor, Made, Task
from jobs.replay.kv_rows import KvEpisode, kv_table, read_kv_rows
from operators.replay.episodes.episode import ReplayEpisode
from operators.replay.episodes.find_episodes import COLUMNS, find_episodes
from operators.replay.episodes.text import PROMPT_ID
from operators.replay.kv_header import FORMAT
from operators.replay.spec import ReplaySpec
from schemas.ids import content_id
from transforms.warehouse.commit import ChangeSet, commit, upsert
from transforms.warehouse.connection import Warehouse
from transforms.warehouse.erasure import finish_pending_erasure
from transforms.warehouse.kv_files import (
    begin_kv_changes,
    finish_kv_changes,
    kv_changes_unfinished,
    kv_folder,
    relative,
    remove_unnamed_kv_files,
)
from transforms.warehouse.read import read_table
from transforms.warehouse.scope import Conversation

MAKING = 1
"""Raised when other caches come out of the same parts; in the ids of caches."""


@dataclass(frozen=True)
class RefreshPlan:
    """What a conversation has, and what it lacks.

    Attributes:
        conversation: (tenant, conversation id).
        messages: its current rows of `messages`.
        episodes: the current ones by the id of the wanted cache, in the order of their messages.
        ready: wanted caches that are there, in the same order.
        missing: ids of wanted caches that are not, or whose file is gone or cut short.
        outdated: rows of episodes that are no more, or made by earlier versions of the parts.
        unfinished: a build was killed; there may be files that no row names.
    """

    conversation: Conversation
    messages: pa.Table
    episodes: dict[str, ReplayEpisode]
    ready: list[KvEpisode]
    missing: list[str]
    outdated: list[KvEpisode]
    unfinished: bool

    @property
    def complete(self) -> bool:
        """Whether every episode has its cache: questions can be answered."""
        return not self.missing

    @property
    def up_to_date(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.missing or self.outdated or self.unfinished)

    def reason(self) -> str:
        """Why questions cannot be answered from what is there; empty where they can."""
        if self.complete:
            return ""
        return (
            f"conversation {self.conversation[1]!r}: {len(self.missing)} of "
            f"{len(self.episodes)} episodes have no current KV cache; make them with "
            "`memoryflow replay --build-only`"
        )


def plan_refresh(
    warehouse: Warehouse,
    conversation: Conversation,
    spec: ReplaySpec,
    compressor: Compressor,
    *,
    rebuild: bool = False,
) -> RefreshPlan:
    """What `refresh` would do; reads only, so a read-only warehouse will do.

    `rebuild`: every cache counts as missing. No weights are loaded (their hash is taken).
    Costs reading the conversation's messages, facts and vectors, and clustering them.
    """
    vectors = of_model(model_of_warehouse(warehouse))
    rows_of = {"messages": "is_current", "facts": None, "embeddings": vectors}
    tables = {
        name: read_table(warehouse, name, COLUMNS[name], [conversation], where=where)
        for name, where in rows_of.items()
    }
    found = find_episodes(tables["messages"], tables["facts"], tables["embeddings"], spec.episodes)
    wish = _Wish.of(spec, compressor)
    episodes = {wish.kv_episode_id(episode): episode for episode in found}
    rows = {row.kv_episode_id: row for row in read_kv_rows(warehouse, conversation)}
    there = {n for n, row in rows.items() if n in episodes and row.has_file(warehouse.path)}
    there = set[str]() if rebuild else there
    current = {episode.episode_id for episode in found}
    outdated = [
        row
        for name, row in rows.items()
        if name not in episodes and (row.episode_id not in current or wish.is_of(row))
    ]
    return RefreshPlan(
        conversation,
        tables["messages"],
        episodes,
        [rows[name] for name in episodes if name in there],
        [name for name in episodes if name not in there],
        outdated,
        kv_changes_unfinished(warehouse),
    )


def refresh(
    warehouse: Warehouse,
    conversation: Conversation,
    spec: ReplaySpec,
    compressor: Compressor,
    *,
    rebuild: bool = False,
    told: Callable[[KvEpisode], None] | None = None,
) -> list[KvEpisode]:
    """Make the caches that a conversation lacks; all its wanted ones, in order of messages.

    Each is committed as it is done (`told` hears of it). Rows of episodes that are no more go
    first, with their files; caches of current episodes by other models or compressions stay.
    Where another process waits to write, it goes before the next episode. With nothing to do
    nothing is written.

    Raises:
        WarehouseError: open read-only with something to do, or the disk is full.
        EngineError, ReplayEngineError, KvStoreError, UsageError: see `Compressor.compress`; what
            was committed stays.
    """
    made = set[str]()
    while True:
        plan = plan_refresh(warehouse, conversation, spec, compressor)
        again = set(plan.episodes) - made if rebuild else set[str]()
        tasks = [
            _task(warehouse, plan, name)
            for name in plan.episodes
            if name in again or name in plan.missing
        ]
        if not tasks and plan.up_to_date:
            return plan.ready
        warehouse.require_writable()
        _tidy(warehouse, plan.outdated)
        for row in _build(warehouse, plan, tasks, spec, compressor):
            made.add(row.kv_episode_id)
            if told is not None:
                told(row)
        # Files that a rebuild has replaced by other bytes are in no row now.
        remove_unnamed_kv_files(warehouse)
        finish_kv_changes(warehouse)


def _build(
    warehouse: Warehouse,
    plan: RefreshPlan,
    tasks: Sequence[Task],
    spec: ReplaySpec,
    compressor: Compressor,
) -> Generator[KvEpisode]:
    """Rows as they are committed.

    What is wanted may change while another writer has the warehouse. Then this ends early: what
    is left was cut from messages that may have been forgotten, and no file must be made of them.
    """
    wish = _Wish.of(spec, compressor)
    tasked = {task.kv_episode_id for task in tasks}
    with closing(compressor.compress(tasks)) as done:
        for made in done:
            # Gone if another writer swept while an actor made it: it has no row yet.
            if made.file.path.exists():
                row = wish.row(warehouse, made)
                commit(warehouse, [], [upsert("kv_episodes", kv_table([row]))])
                yield row
            tasked.discard(made.task.kv_episode_id)
            if warehouse.wanted():
                warehouse.hand_over()
                finish_pending_erasure(warehouse)
                begin_kv_changes(warehouse)
                now = plan_refresh(warehouse, plan.conversation, spec, compressor)
                if not tasked <= set(now.episodes):
                    return


@dataclass(frozen=True)
class _Wish:
    """What caches must be made of, beside their episode."""

    spec: ReplaySpec
    model_id: str
    versions: tuple[str, ...]

    @classmethod
    def of(cls, spec: ReplaySpec, compressor: Compressor) -> "_Wish":
        return cls(spec, compressor.fingerprint, compressor.versions)

    def kv_episode_id(self, episode: ReplayEpisode) -> str:
        return content_id(
            "kv",
            *(episode.tenant, episode.conversation_id, episode.episode_id),
            *(self.model_id, PROMPT_ID, self.spec.compression_id, FORMAT, MAKING),
            *self.versions,
        )

    def is_of(self, row: KvEpisode) -> bool:
        """Whether `row` was made for the same wish, if perhaps by other versions."""
        wish = (self.model_id, PROMPT_ID, self.spec.compression_id)
        return (row.model_id, row.prompt, row.compression_id) == wish

    def row(self, warehouse: Warehouse, made: Made) -> KvEpisode:
        episode = made.task.episode
        return KvEpisode(
            tenant=episode.tenant,
            conversation_id=episode.conversation_id,
            kv_episode_id=made.task.kv_episode_id,
            episode_id=episode.episode_id,
            model_id=self.model_id,
            prompt=PROMPT_ID,
            compression_id=self.spec.compression_id,
            compression=json.dumps(
                {**self.spec.compression, "versions": self.versions}, sort_keys=True
            ),
            scorer=self.versions[0],
            precision=self.spec.precision,
            budget=made.budget,
            length=made.length,
            token_count=made.token_count,
            bytes=made.file.bytes,
            checksum=made.file.checksum,
            path=relative(warehouse, made.file.path),
            centroid=episode.centroid,
            source_message_ids=episode.message_ids,
            patch_message_ids=episode.patch_message_ids,
        )


def _tidy(warehouse: Warehouse, outdated: list[KvEpisode]) -> None:
    """Outdated rows out, then all files without rows; what a killed process began, first."""
    finish_pending_erasure(warehouse)
    begin_kv_changes(warehouse)
    keys = kv_table(outdated).select(["tenant", "conversation_id", "kv_episode_id"])
    commit(warehouse, [], [ChangeSet("kv_episodes", deletes=keys)])
    remove_unnamed_kv_files(warehouse)


def _task(warehouse: Warehouse, plan: RefreshPlan, name: str) -> Task:
    """With only the episode's messages: it may travel to an actor."""
    episode = plan.episodes[name]
    wanted = {*episode.message_ids, *episode.patch_message_ids}
    rows = [n for n, i in enumerate(plan.messages["message_id"].to_pylist()) if i in wanted]
    return Task(name, episode, plan.messages.take(rows), kv_folder(warehouse, name))
