"""How many model calls a pipeline will make on some input, from a sample of its messages.

The steps are run in process on the sample, with models that count instead of computing.
Only what model calls depend on is run: nothing that lies behind the last of them.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from operators.base import Cost, Key, Models, Tables, Vectors
from operators.embedding.model_id import DIMENSION
from operators.llm.call import Answer, Request
from operators.llm.spec import AnyLlm
from pipelines.plan import APPENDABLE, INPUT_TABLE, Plan, PlanStep
from schemas.tables import TABLES
from transforms.step import table_of

MAX_SAMPLE_MESSAGES = 2_000

Embed = Callable[[Sequence[str], str], Vectors]

_CHARS_PER_TOKEN = 4.0  # English prose in WordPiece and BPE vocabularies.
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """Messages from the head of an input, and how much of its bytes they are."""

    messages: pa.Table
    bytes_read: int
    bytes_total: int

    @property
    def scale(self) -> float:
        """Whole input over sample, by bytes."""
        return max(self.bytes_total / self.bytes_read, 1.0) if self.bytes_read else 1.0


@dataclass(frozen=True)
class StepEstimate:
    """What one step with a model is expected to ask of it; None where the sample failed.

    Attributes:
        tokens: sent, and of a language model also received.
        dollars: by the declared prices, nothing cached.
    """

    step: str
    cost: str
    calls: int | None
    tokens: int | None
    note: str | None = None
    dollars: float = 0.0


@dataclass(frozen=True)
class Estimate:
    """Expected model work for an input."""

    sampled_messages: int
    expected_messages: int
    steps: tuple[StepEstimate, ...]

    def total(self, cost: Cost) -> int:
        """Calls of this kind over all steps."""
        return sum(step.calls or 0 for step in self.steps if step.cost == cost.value)

    @property
    def tokens(self) -> int:
        """Tokens over all steps."""
        return sum(step.tokens or 0 for step in self.steps)

    @property
    def dollars(self) -> float:
        """Cost over all steps."""
        return sum(step.dollars for step in self.steps)


@dataclass
class CountingModels(Models):
    """Counts what is asked, and answers without a model.

    Vectors are given by `vectors`, where a number of calls rests on neighbours, or else mean
    nothing. Questions to a language model get no
    answer, so that the rules stand in and later steps have something to count.

    Attributes:
        count_tokens: tokens of a text.
        vectors: embeds texts; None for equal vectors of no meaning.
        calls: distinct texts or requests so far.
        tokens: of these, sent and (for a language model) expected back.
        dollars: what the language model would cost.
    """

    count_tokens: Callable[[str], int]
    vectors: Embed | None = None
    calls: int = 0
    tokens: int = 0
    dollars: float = 0.0
    seen: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def embed(self, texts: Sequence[str], model_id: str) -> Vectors:
        """Count texts that were not asked before."""
        for text in texts:
            if self._is_new((model_id, text)):
                self.tokens += self.count_tokens(text)
        if self.vectors is not None:
            return self.vectors(texts, model_id)
        vectors = np.zeros((len(texts), DIMENSION), np.float32)
        vectors[:, 0] = 1.0
        return vectors

    def token_counts(self, texts: Sequence[str], model_id: str) -> Sequence[int]:
        """About as many tokens as the model would read."""
        del model_id
        return [self.count_tokens(text) for text in texts]

    def generate(self, llm: AnyLlm, requests: Sequence[Request]) -> Sequence[Answer]:
        """Count requests that were not asked before."""
        answers: list[Answer] = []
        for request in requests:
            call_id = request.call_id(llm)
            if self._is_new((llm.key, call_id)):
                sent = [self.count_tokens(text) for _, text in request.turns]
                # Answers are about as long as what they are about, and bounded.
                received = min(sent[-1], request.max_tokens)
                self.tokens += sum(sent) + received
                self.dollars += llm.price.of(sum(sent), 0, received)
            answers.append(Answer(call_id, "predicted", ""))
        return answers

    def set_aside(self, request: Request, answer: Answer, reason: str) -> None:
        """Nothing is answered, so nothing is set aside."""

    def _is_new(self, key: tuple[str, str]) -> bool:
        new = key not in self.seen
        self.seen.add(key)
        self.calls += new
        return new


def about_tokens(text: str) -> int:
    """Tokens of a text, by its length alone."""
    return max(1, round(len(text) / _CHARS_PER_TOKEN))


def head(batches: Iterable[pa.Table], limit: int = MAX_SAMPLE_MESSAGES) -> pa.Table:
    """The first `limit` messages, each id once and as the current version.

    Which of two versions wins does not matter to a count, so the first one stays.
    """
    tables: list[pa.Table] = []
    left = limit
    for batch in batches:
        tables.append(batch.slice(0, left))
        left -= tables[-1].num_rows
        if left <= 0:
            break
    table = pa.concat_tables(tables) if tables else TABLES[INPUT_TABLE].empty()
    ids = ("tenant", "conversation_id", "message_id")
    columns = [table.column(name).to_pylist() for name in ids]
    rows = {key: row for row, key in reversed(list(enumerate(zip(*columns, strict=True))))}
    table = table.take(pa.array(sorted(rows.values()), pa.int64()))
    place = table.schema.get_field_index("is_current")
    current = pa.array([True] * table.num_rows, pa.bool_())
    return table.set_column(place, table.schema.field(place), current)


def estimate(
    plan: Plan,
    sample: Sample,
    count_tokens: Callable[[str], int] = about_tokens,
    vectors: Embed | None = None,
) -> Estimate:
    """Expected calls and tokens of every step with a model, extrapolated by bytes.

    Args:
        plan: the steps.
        sample: the head of the input.
        count_tokens: tokens of a text.
        vectors: the embedder: how many pairs, scenes and nodes a language model is asked about
            depends on what is near to what.
    """
    needed = _needed(plan)
    tables: dict[str, pa.Table] = {INPUT_TABLE: sample.messages}
    estimates: list[StepEstimate] = []
    for step in plan.steps:
        if step.id not in needed:
            continue
        models = CountingModels(count_tokens, vectors)
        failure = _run(step, tables, models)
        if step.cost is Cost.NONE and failure is None:
            continue
        estimates.append(_scaled(step, models, sample.scale, failure))
        if failure is not None:
            break
    done = {item.step for item in estimates}
    estimates += [
        StepEstimate(step.id, step.cost.value, None, None, "unknown: an earlier step failed")
        for step in plan.steps
        if step.cost is not Cost.NONE and step.id not in done
    ]
    sampled = sample.messages.num_rows
    return Estimate(sampled, round(sampled * sample.scale), tuple(estimates))


def _needed(plan: Plan) -> set[str]:
    """Steps with a model, and all they depend on."""
    needed: set[str] = set()
    for step in reversed(plan.steps):
        if step.cost is not Cost.NONE or step.id in needed:
            needed |= {step.id, *step.upstream}
    return needed


def _run(step: PlanStep, tables: dict[str, pa.Table], models: CountingModels) -> str | None:
    """Run a step on the sample and keep its tables; the reason where that fails."""
    names = {table_of(ref) for ref in step.reads}
    if step.key is not Key.TEXT:
        names.add(INPUT_TABLE)
    given: Tables = {name: tables[name] for name in names if name in tables}
    try:
        result = step.operator.run(given, models)
    except Exception as error:  # An estimate must not end `explain`, whatever an operator does.
        _log.debug("step %s failed on the sample", step.id, exc_info=True)
        return f"unknown: failed on the sample with {type(error).__name__}: {error}"
    for name, table in result.tables.items():
        if name in APPENDABLE and name in tables:
            tables[name] = pa.concat_tables([tables[name], table])
        else:
            tables[name] = table
    return None


def _scaled(
    step: PlanStep, models: CountingModels, scale: float, failure: str | None
) -> StepEstimate:
    if failure is not None:
        return StepEstimate(step.id, step.cost.value, None, None, failure)
    calls, tokens = round(models.calls * scale), round(models.tokens * scale)
    dollars = round(models.dollars * scale, 6)
    return StepEstimate(step.id, step.cost.value, calls, tokens, dollars=dollars)
