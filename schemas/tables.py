"""The memory tables: one registry that every reader and writer goes by.

A table is declared once, with a comment per column. Writing, digests, views, export,
erasure and the tests all iterate over `TABLES`, so a new table cannot be forgotten by one
of them. Every content table is scoped to (tenant, conversation_id): a conversation's rows
are a pure function of its messages, can be replaced alone, and go when it is erased.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pyarrow as pa

TIMESTAMP = pa.timestamp("us", tz="UTC")
STRINGS = pa.list_(pa.string())
VECTOR = pa.list_(pa.float32())


@dataclass(frozen=True)
class Column:
    """A column: Arrow type, what it means, and whether it is bookkeeping.

    Bookkeeping (arrival offsets, run ids, wall-clock, latencies) stays out of the digest,
    because it is not a function of the log. A derived column is filled by a later step than
    the one that makes the row; until then it holds `initial`.
    """

    name: str
    type: pa.DataType
    comment: str
    bookkeeping: bool = False
    nullable: bool = True
    derived: bool = False
    initial: str | None = None


@dataclass(frozen=True)
class Table:
    """A table: columns, primary key, and whether it holds memory or bookkeeping."""

    name: str
    comment: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    bookkeeping: bool = False

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema: names, types, nullability."""
        return pa.schema([pa.field(c.name, c.type, nullable=c.nullable) for c in self.columns])

    @property
    def content_columns(self) -> tuple[str, ...]:
        """Columns that enter the digest."""
        return tuple(c.name for c in self.columns if not c.bookkeeping)

    @property
    def per_conversation(self) -> bool:
        """Whether rows belong to one (tenant, conversation_id)."""
        return any(c.name == "conversation_id" for c in self.columns)

    def empty(self) -> pa.Table:
        """No rows, all columns."""
        return self.schema.empty_table()


def _req(name: str, type_: pa.DataType, comment: str, *, bookkeeping: bool = False) -> Column:
    return Column(name, type_, comment, bookkeeping=bookkeeping, nullable=False)


_S, _I32, _I64, _F64, _B = pa.string(), pa.int32(), pa.int64(), pa.float64(), pa.bool_()

_SCOPE = (
    _req("tenant", _S, "Owner of the conversation; 'default' unless the input says otherwise."),
    _req("conversation_id", _S, "Conversation the row belongs to, as given in the input."),
)

_MESSAGES = Table(
    "messages",
    "Every accepted version of every message; is_current marks the one that counts.",
    ("tenant", "conversation_id", "message_id", "content_hash"),
    (
        *_SCOPE,
        _req("message_id", _S, "Message id as given in the input, unique in its conversation."),
        _req("content_hash", _S, "Hash of the content of this version."),
        _req("revision", _I32, "Revision given in the input; the highest wins."),
        _req("is_current", _B, "True for the version that memory is built from."),
        _req("conflict", _B, "True where versions tie on revision and differ in content."),
        _req("speaker", _S, "Who said it."),
        Column("role", _S, "Role given in the input, such as user or assistant."),
        _req("timestamp", TIMESTAMP, "Event time (UTC)."),
        _req("seq", _I64, "Orders messages of equal timestamp; 0 if not given."),
        _req("text", _S, "The message as written."),
        Column("given_session_id", _S, "session_id of the input, if any."),
        Column(
            "session_id",
            _S,
            "Event-time session (sessions.session_id); current rows only.",
            derived=True,
        ),
        Column("attachments", _S, "Attachments as canonical JSON."),
        Column("metadata", _S, "Metadata as canonical JSON."),
    ),
)

_DEAD_LETTERS = Table(
    "dead_letters",
    "Input that could not be used, with the reason; nothing vanishes.",
    ("dead_letter_id",),
    (
        _req("dead_letter_id", _S, "Hash of step, reason and what was refused."),
        _req("step", _S, "Who refused it: 'read', 'event_time', or a step of the pipeline."),
        _req("reason", _S, "Machine-readable reason, e.g. not_json, missing_field."),
        _req("detail", _S, "What is wrong and how to mend it, for a person."),
        _req("raw", pa.binary(), "The bytes as they came in."),
        Column("source", _S, "File or stream it came from (first seen).", bookkeeping=True),
        Column("offset", _I64, "Line number (from 1) in the source.", bookkeeping=True),
        Column("tenant", _S, "Tenant, where the line still told.", bookkeeping=True),
    ),
)

_SESSIONS = Table(
    "sessions",
    "Event-time sessions: runs of messages without a long gap, or as the input declared.",
    ("session_id",),
    (
        *_SCOPE,
        _req("session_id", _S, "Id from the conversation and the session's first message."),
        _req("content_hash", _S, "Hash over the session's messages in event order."),
        _req("start_time", TIMESTAMP, "First message."),
        _req("end_time", TIMESTAMP, "Last message."),
        _req("message_count", _I32, "Messages in the session."),
        _req("speakers", STRINGS, "Speakers, sorted."),
        _req("first_message_id", _S, "First message in event order."),
        _req("last_message_id", _S, "Last message in event order."),
        Column("given_session_id", _S, "session_id of the input, where it set the boundary."),
    ),
)

_CELLS = Table(
    "cells",
    "Chunks of a session, two turns each: the unit of extraction.",
    ("cell_id",),
    (
        *_SCOPE,
        _req("session_id", _S, "Session the cell belongs to."),
        _req("cell_id", _S, "Id from the cell's messages."),
        _req("start_time", TIMESTAMP, "First message."),
        _req("end_time", TIMESTAMP, "Last message."),
        _req("message_ids", STRINGS, "Messages in event order."),
        _req("speakers", STRINGS, "Speaker of each message, in the same order."),
        _req("text", _S, "'speaker: text' lines."),
    ),
)

_FACTS = Table(
    "facts",
    "Self-contained statements with their source, typed, dated and judged.",
    ("fact_id",),
    (
        *_SCOPE,
        _req("session_id", _S, "Session it was said in."),
        _req("cell_id", _S, "Cell it was extracted from."),
        _req("fact_id", _S, "Id from the source message version and the ordinal."),
        _req("message_id", _S, "Main source message."),
        _req("source_message_ids", STRINGS, "All supporting messages, the main one first."),
        _req("span_start", _I32, "Start (characters) of the support in the main message."),
        _req("span_end", _I32, "End (characters, exclusive) of the support."),
        _req("ordinal", _I32, "Position among the facts of the main message."),
        _req("seq", _I64, "seq of the main message; orders facts of equal event time."),
        _req("speaker", _S, "Who said it."),
        Column("role", _S, "Role of the speaker, if given."),
        _req("text", _S, "The statement, self-contained, with dates made absolute."),
        _req("kind", _S, "factual, experiential or subjective."),
        _req("event_time", TIMESTAMP, "When it was said (event time)."),
        Column("occurred_start", TIMESTAMP, "Start of the time it speaks of."),
        Column("occurred_end", TIMESTAMP, "End (exclusive) of the time it speaks of."),
        Column("time_text", _S, "The words that gave the time."),
        _req("importance", _F64, "0..1, four digits."),
        _req("entities", STRINGS, "Names it mentions, as written, in order."),
        _req("topics", STRINGS, "What it is about, in a word or two each; by a model only."),
        _req("unsupported", STRINGS, "Its names, numbers and dates that the source does not hold."),
        Column("subject", _S, "Who or what an attribute is about."),
        Column("attribute", _S, "Attribute, e.g. home_city, employer."),
        Column("value", _S, "Value of the attribute."),
        _req("extractor", _S, "Operator that made it."),
        Column(
            "status",
            _S,
            "active, duplicate or superseded.",
            nullable=False,
            derived=True,
            initial="active",
        ),
        Column("canonical_id", _S, "Fact that stands for a duplicate.", derived=True),
        Column("valid_from", TIMESTAMP, "Start of validity in event time.", derived=True),
        Column(
            "valid_to", TIMESTAMP, "End (exclusive) of validity; null while it holds.", derived=True
        ),
        Column("superseded_by", _S, "Fact that ended its validity.", derived=True),
        Column(
            "doubt", _S, "Why it is doubted: what well-supported trait it denies.", derived=True
        ),
    ),
)

_VERDICTS = Table(
    "verdicts",
    "What a model said of pairs of facts; deduplication, validity and relations go by it.",
    ("later_id", "earlier_id"),
    (
        *_SCOPE,
        _req("later_id", _S, "The later fact."),
        _req("earlier_id", _S, "The earlier fact."),
        _req(
            "verdict",
            _S,
            "same, replaces, refines, extends, accumulates, transforms, contradicts, implies, "
            "causes or unrelated.",
        ),
        _req("score", _F64, "Cosine of the two texts, four digits."),
        _req("reason", _S, "Why the pair was asked about: near or attribute."),
    ),
)

_ENTITIES = Table(
    "entities",
    "People, places and things named in a conversation.",
    ("tenant", "conversation_id", "entity_id"),
    (
        *_SCOPE,
        _req("entity_id", _S, "Id from tenant and normalised name: equal across conversations."),
        _req("name", _S, "Most frequent spelling."),
        _req("kind", _S, "person (a speaker) or name."),
        _req("aliases", STRINGS, "All spellings, sorted."),
        _req("first_seen", TIMESTAMP, "Event time of the first mention."),
        _req("last_seen", TIMESTAMP, "Event time of the last mention."),
        _req("mention_count", _I32, "Mentions in active facts."),
        _req("session_count", _I32, "Sessions with a mention."),
    ),
)

_MENTIONS = Table(
    "mentions",
    "Which active fact mentions which entity.",
    ("tenant", "conversation_id", "entity_id", "fact_id"),
    (
        *_SCOPE,
        _req("entity_id", _S, "Entity."),
        _req("fact_id", _S, "Fact."),
        _req("message_id", _S, "Main source message of the fact."),
        _req("surface", _S, "The name as written (first spelling in the fact)."),
        _req("event_time", TIMESTAMP, "When it was said."),
    ),
)

_LINKS = Table(
    "links",
    "Typed relations between memories; also the recorded verdicts of deduplication.",
    ("link_id",),
    (
        *_SCOPE,
        _req("link_id", _S, "Id from type and both ends."),
        _req(
            "type",
            _S,
            "same, supersedes, associated, extends, refines, accumulates, transforms, contradicts, "
            "implies, causes; between scenes split_from, merged_from.",
        ),
        _req("source_id", _S, "The later memory."),
        _req("target_id", _S, "The earlier memory."),
        _req("score", _F64, "Score the verdict rests on, four digits."),
        _req("method", _S, "How it was judged, e.g. exact, cosine."),
        # Operators put their own name here; the dataflow replaces it by the step's id.
        _req("step", _S, "Step that judged it."),
    ),
)

_EPISODES = Table(
    "episodes",
    "Sessions retold as titled episodes, with their keywords.",
    ("episode_id",),
    (
        *_SCOPE,
        _req("episode_id", _S, "Id from the session."),
        _req("session_id", _S, "Session it retells."),
        _req("title", _S, "Title."),
        _req("content", _S, "What was said, in short."),
        _req("keywords", STRINGS, "Telling words and names, the best first."),
        _req("start_time", TIMESTAMP, "First message."),
        _req("end_time", TIMESTAMP, "Last message."),
        _req("source_message_ids", STRINGS, "Messages that the content rests on, in event order."),
        _req("made_by", _S, "llm, or extractive (rules alone, or in place of an unusable answer)."),
    ),
)

_SCENES = Table(
    "scenes",
    "Groups of memories about one theme, over all sessions.",
    ("scene_id",),
    (
        *_SCOPE,
        _req("scene_id", _S, "Id from its first member; kept while the scene grows."),
        _req("title", _S, "Title."),
        _req("summary", _S, "Summary of its most central statements."),
        _req("keywords", STRINGS, "Telling words and names, the best first."),
        _req("people", STRINGS, "Who speaks or is named most, the most frequent first."),
        _req("start_time", TIMESTAMP, "First member."),
        _req("end_time", TIMESTAMP, "Last member."),
        _req("member_count", _I32, "Members."),
        _req("session_count", _I32, "Sessions its members come from."),
        _req("salience", _F64, "0..1, four digits."),
        _req("made_by", _S, "Who tells it: llm, or extractive (rules alone, or standing in)."),
    ),
)

_SCENE_MEMBERS = Table(
    "scene_members",
    "Which memory belongs to which scene; reflection may demote one or set it apart.",
    ("scene_id", "memory_id"),
    (
        *_SCOPE,
        _req("scene_id", _S, "Scene."),
        _req("memory_id", _S, "Fact."),
        _req("weight", _F64, "Centrality in the scene, 0..1, four digits."),
        Column(
            "status",
            _S,
            "member; demoted: clashes with a persona; apart: of another story in the scene.",
            nullable=False,
            derived=True,
            initial="member",
        ),
        Column(
            "part",
            _I32,
            "0; members set apart together share a higher number.",
            nullable=False,
            derived=True,
            initial="0",
        ),
        Column("reason", _S, "Why it was demoted or set apart.", derived=True),
    ),
)

_PERSONAS = Table(
    "personas",
    "What is known of a person: attribute, value, evidence, confidence, validity.",
    ("persona_id",),
    (
        *_SCOPE,
        _req("persona_id", _S, "Id from person, attribute, value and first evidence."),
        _req("person", _S, "Person."),
        _req("kind", _S, "attribute, preference, habit or relation."),
        _req("attribute", _S, "What of the person, e.g. home_city, likes, habit, sister."),
        _req("value", _S, "Value."),
        _req("evidence", STRINGS, "Facts it rests on, in event order."),
        _req("support", _I32, "Sessions with evidence."),
        _req("confidence", _F64, "0..1, four digits."),
        _req("stability", _F64, "0..1, four digits: how long and evenly it has been confirmed."),
        _req("status", _S, "current; former: another value followed; conflict: values clash."),
        Column("valid_from", TIMESTAMP, "Start of validity."),
        Column("valid_to", TIMESTAMP, "End (exclusive) of validity; null while it holds."),
        _req("made_by", _S, "Who read it from the evidence: llm or rules."),
    ),
)

_MEMTREE_NODES = Table(
    "memtree_nodes",
    "Inner nodes of the canonical time-ordered trees; leaves are facts.",
    ("tree_id", "node_id"),
    (
        *_SCOPE,
        _req("tree_id", _S, "Id from tenant, conversation, scope type and scope key."),
        _req("scope_type", _S, "session, entity, scene or conversation."),
        _req("scope_key", _S, "Session, entity, scene or conversation id."),
        _req("node_id", _S, "Id from level and child ids."),
        _req("level", _I32, "1 above the leaves, rising to the root."),
        _req("is_root", _B, "True for the top node."),
        _req("is_closed", _B, "False on the right edge, which later facts may still extend."),
        _req("child_ids", STRINGS, "Children in time order: leaf ids at level 1, node ids above."),
        _req("fact_ids", STRINGS, "Facts of the leaves, at level 1; empty above."),
        _req("leaf_count", _I32, "Leaves below."),
        _req("start_time", TIMESTAMP, "Event time of the first leaf."),
        _req("end_time", TIMESTAMP, "Event time of the last leaf."),
        _req("summary", _S, "Summary of the children."),
        _req("summarizer", _S, "What wrote the summary: llm, extractive, lead."),
    ),
)

_EMBEDDINGS = Table(
    "embeddings",
    "Vectors of the distinct texts of a conversation.",
    ("tenant", "conversation_id", "text_hash", "model_id"),
    (
        *_SCOPE,
        _req("text_hash", _S, "Hash of the embedded text."),
        _req("model_id", _S, "Model, with its weights' fingerprint."),
        _req("vector", VECTOR, "Unit vector; a function of the text alone."),
    ),
)

_ARTIFACTS = Table(
    "artifacts",
    "Every model call that memory rests on: what was asked, of which model, what came back.",
    ("tenant", "conversation_id", "session_id", "artifact_id"),
    (
        *_SCOPE,
        _req("session_id", _S, "Session the call was for; '' for the whole conversation."),
        _req("artifact_id", _S, "Hash of model, prompt, form, sampling and input: the call's key."),
        _req("step", _S, "Step that called."),
        _req("fingerprint", _S, "Fingerprint of the operator, with the model."),
        _req("model_id", _S, "Model called."),
        _req("prompt", _S, "name@version:hash of the prompt; '' for an embedding."),
        _req("input_hash", _S, "Hash of the input."),
        _req(
            "status",
            _S,
            "ok; truncated: cut at the longest answer; refused: the engine would not answer.",
        ),
        Column("output", _S, "Output text; null where another table holds it."),
        _req("output_hash", _S, "Hash of the output bytes."),
        _req("tokens_in", _I32, "Tokens sent."),
        _req("tokens_out", _I32, "Tokens received."),
        Column(
            "cached_tokens", _I32, "Of those sent, found in the prefix cache.", bookkeeping=True
        ),
        Column("latency_ms", _F64, "Time the call took.", bookkeeping=True),
        Column("cost", _F64, "US dollars, by the prices declared then.", bookkeeping=True),
    ),
)

_KV_EPISODES = Table(
    "kv_episodes",
    "Compressed KV caches of episodes, for replay: derived files, made again when stale.",
    ("kv_episode_id",),
    (
        *_SCOPE,
        _req("kv_episode_id", _S, "Cache: hash of episode, model, prompt and compression."),
        _req("episode_id", _S, "Episode it holds: hash of the messages and the patch prompt's."),
        _req("model_id", _S, "Fingerprint of model, tokenizer and weights."),
        _req("prompt", _S, "Prompt that the messages stand in: name, version, hash."),
        _req("compression_id", _S, "Hash of how it was compressed."),
        _req("compression", _S, "How it was compressed, as JSON."),
        _req("scorer", _S, "How kept tokens were chosen: name@version."),
        _req("precision", _S, "Of the stored tensors: float32, bfloat16 or int8."),
        _req("budget", _I32, "Tokens kept per layer and head, on average over layers."),
        _req("length", _I32, "Position of the first token after the cache."),
        _req("token_count", _I32, "Tokens before compression."),
        _req("bytes", _I64, "Size of the tensor file."),
        _req("checksum", _S, "SHA-256 of the tensor file."),
        _req("path", _S, "Tensor file, relative to the warehouse."),
        _req("centroid", VECTOR, "Centre of the episode's windows: where questions compare."),
        _req("source_message_ids", STRINGS, "Messages it holds, in order."),
        _req("patch_message_ids", STRINGS, "Messages of the patch prompt, in order."),
    ),
    bookkeeping=True,
)

_RUNS = Table(
    "runs",
    "Every run: what was asked, what it did, how it ended.",
    ("run_id",),
    (
        _req("run_id", _S, "Run."),
        _req("job", _S, "run, stream, consolidate or forget."),
        _req("pipeline", _S, "Name of the pipeline."),
        _req("fingerprint", _S, "Fingerprint of the plan."),
        _req("plan", _S, "Fingerprint of each step, as JSON."),
        _req("pipeline_spec", _S, "The pipeline itself, as JSON: it can be run again from here."),
        _req("input", _S, "What was read."),
        _req("started_at", TIMESTAMP, "Wall-clock start."),
        _req("finished_at", TIMESTAMP, "Wall-clock end of this commit."),
        _req(
            "status", _S, "running (a partial commit), live (a stream), stopped (a budget) or done."
        ),
        _req("counters", _S, "Row counts per step, as JSON."),
    ),
    bookkeeping=True,
)

_OFFSETS = Table(
    "offsets",
    "How far each source has been read.",
    ("source", "partition"),
    (
        _req("source", _S, "File or stream."),
        _req("partition", _S, "Partition of it; 'file' for a whole file."),
        _req(
            "position",
            _S,
            "Position in a stream; content hash of a file read to its end.",
        ),
        _req("fingerprint", _S, "Fingerprint of the plan it was read under."),
        _req("state", _S, "Source-specific state, as JSON."),
    ),
    bookkeeping=True,
)

_TOMBSTONES = Table(
    "tombstones",
    "Erased messages, by hash only, so that reading the log again does not bring them back.",
    ("tombstone_id",),
    (
        _req("tombstone_id", _S, "Hash of tenant, conversation and message id."),
        _req("reason", _S, "message, conversation or person."),
        _req("erased_at", TIMESTAMP, "Wall-clock time of the erasure."),
    ),
    bookkeeping=True,
)

_STAMPS = Table(
    "stamps",
    "Which step computed each key, from what input: what need not be computed again.",
    ("tenant", "conversation_id", "key", "step"),
    (
        *_SCOPE,
        _req("key", _S, "Session id, or '' for the whole conversation."),
        _req("step", _S, "Step of the pipeline."),
        _req("stamp", _S, "Hash of the step's chained fingerprint and the key's messages."),
    ),
    bookkeeping=True,
)

_ACCESSES = Table(
    "accesses",
    "Memories that searches found, where a search was told to log them: what heat is made of.",
    ("access_id",),
    (
        *_SCOPE,
        _req("access_id", _S, "Id from memory, time and question."),
        _req("memory_id", _S, "Fact or message that was found."),
        _req("message_id", _S, "Its first source message."),
        _req("accessed_at", TIMESTAMP, "Wall-clock time of the search."),
        _req("rank", _I32, "Place among the results, from 1."),
        _req("question_hash", _S, "Hash of the question; its text is not kept."),
    ),
    bookkeeping=True,
)

TABLES: Mapping[str, Table] = MappingProxyType(
    {
        table.name: table
        for table in (
            _MESSAGES,
            _DEAD_LETTERS,
            _SESSIONS,
            _CELLS,
            _FACTS,
            _VERDICTS,
            _ENTITIES,
            _MENTIONS,
            _LINKS,
            _EPISODES,
            _SCENES,
            _SCENE_MEMBERS,
            _PERSONAS,
            _MEMTREE_NODES,
            _EMBEDDINGS,
            _ARTIFACTS,
            _KV_EPISODES,
            _RUNS,
            _OFFSETS,
            _TOMBSTONES,
            _STAMPS,
            _ACCESSES,
        )
    }
)
