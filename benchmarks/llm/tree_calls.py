"""How many calls the summaries of one tree cost: streamed, in one batch, and after an edit.

    python -m benchmarks.llm.tree_calls [--facts 10000] [--source statements | summaries]

Invented facts in one conversation tree, the summarizer as pipelines use it, and answers that
are recorded by call id as the ledger records them: a call that was made before costs nothing.
No model runs. The last column is what the contract says of a prototype that summarises every
node anew that is not the same as before; 450 is what issue 4 allows.
"""

import argparse
import json
import random
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.llm.plausible import plausible_answer
from operators.base import Models, Vectors
from operators.llm.call import Answer, Request
from operators.llm.spec import AnyLlm, OpenAiLlm
from operators.memtree import Leaf, LlmSummarizer, MemTree, Sentence, Written
from operators.memtree.forest import Planted, node_texts

MODEL = OpenAiLlm(model="simulated", url="http://127.0.0.1:9/v1")
"""Whom the summarizer asks; nobody listens there."""

_DAY = 86_400_000_000
_START = 1_700_000_000_000_000
_WORDS = (
    "garden violin harbour lantern meadow cinnamon bicycle telescope river kitchen orchard "
    "letter winter market painting neighbour train piano museum recipe sister concert"
)
_EDITS = 20


@dataclass
class RecordedCalls:
    """Models that answer each distinct call once, and remember the answer.

    Attributes:
        answers: by call id.
        round_trips: with at least one call that was not known.
    """

    answers: dict[str, Answer] = field(default_factory=dict[str, Answer])
    round_trips: int = 0

    def generate(self, llm: AnyLlm, requests: Sequence[Request]) -> list[Answer]:
        """Recorded answers, and plausible ones to what is new."""
        ids = [request.call_id(llm) for request in requests]
        new = {key: one for key, one in zip(ids, requests, strict=True) if key not in self.answers}
        self.round_trips += bool(new)
        for key, request in new.items():
            schema = json.loads(request.schema)
            text = plausible_answer(request.turns, schema, request.max_tokens)
            self.answers[key] = Answer(key, "ok", text)
        return [self.answers[key] for key in ids]

    def set_aside(self, request: Request, answer: Answer, reason: str) -> None:
        """All answers here can be used."""
        raise AssertionError(f"{reason}: {answer.text} to {request.turns[-1][1]}")

    def embed(self, texts: Sequence[str], model_id: str) -> Vectors:
        """Not needed."""
        raise NotImplementedError(f"{len(texts)} texts for {model_id}")

    def token_counts(self, texts: Sequence[str], model_id: str) -> Sequence[int]:
        """Not needed."""
        raise NotImplementedError(f"{len(texts)} texts for {model_id}")


Fact = tuple[Leaf, Sentence]


def invented(number: int, position: float | None = None, seed: str = "") -> Fact:
    """Fact `number`; at its place in time, or at another one. 20 facts are a day."""
    key = f"{seed}fact_{number:06}"
    words = random.Random(key).choices(_WORDS.split(), k=9)
    text = f"Ann {number} told about {' '.join(words)}."
    time = _START + int((number if position is None else position) * _DAY / 20)
    return Leaf.of(time, key, text, None, None), Sentence.of(text, time)


def summarise(facts: Iterable[Fact], summarizer: LlmSummarizer, models: Models) -> list[Written]:
    """The summaries of the tree of a conversation that has these facts."""
    statements = dict(facts)
    tree = Planted("default", "c", "conversation", "c", MemTree.build(statements))
    return summarizer.write(list(node_texts([tree], statements).values()), models)


def streamed(summarizer: LlmSummarizer, sessions: int, size: int, seed: str = "") -> list[int]:
    """Calls made so far, after each session of `size` facts that came in."""
    models, facts, counts = RecordedCalls(), list[Fact](), list[int]()
    for session in range(sessions):
        facts += [invented(session * size + number, seed=seed) for number in range(size)]
        summarise(facts, summarizer, models)
        counts.append(len(models.answers))
    return counts


def in_one_batch(summarizer: LlmSummarizer, number: int) -> tuple[int, int]:
    """Calls and round trips for all at once."""
    models = RecordedCalls()
    summarise([invented(one) for one in range(number)], summarizer, models)
    return len(models.answers), models.round_trips


def after_edits(
    summarizer: LlmSummarizer, number: int, edits: int = _EDITS
) -> dict[str, list[tuple[int, int]]]:
    """Calls and round trips of edits of a built tree, each of the same tree."""
    rng = random.Random(number)
    places = [rng.randrange(number) for _ in range(edits)]
    built = [invented(one) for one in range(number + edits)]
    out: dict[str, list[tuple[int, int]]] = {}

    def cost(name: str, before: list[Fact], after: list[Fact]) -> None:
        models = RecordedCalls()
        summarise(before, summarizer, models)
        calls, models.round_trips = len(models.answers), 0
        summarise(after, summarizer, models)
        out.setdefault(name, []).append((len(models.answers) - calls, models.round_trips))

    for edit, place in enumerate(places):
        before = built[: number + edit]
        size = len(before)
        cost("append one fact", before, [*before, invented(size)])
        session = [invented(size + one) for one in range(20)]
        cost("append a session of 20", before, [*before, *session])
        cost("one late fact", before, [*before, invented(size, place + 0.5)])
        cost("delete one fact", before, before[:place] + before[place + 1 :])
    return out


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--facts", type=int, default=10_000, help="in the tree that is edited")
    parser.add_argument("--edits", type=int, default=_EDITS, help="of each kind")
    parser.add_argument("--source", choices=["statements", "summaries"], default="statements")
    arguments = parser.parse_args()
    summarizer = LlmSummarizer(llm=MODEL, source=arguments.source)
    _line("", "calls", "most", "round trips", "contract")
    others = [streamed(summarizer, 100, 20, seed)[-1] for seed in ("", "a", "b", "c", "d")]
    _line("2000 facts as 100 x 20", others[0], max(others), "", "771, allowed 450")
    _line("2000 facts in one batch", *_batch(summarizer, 2000), "352")
    _line(f"{arguments.facts} facts in one batch", *_batch(summarizer, arguments.facts), "1803")
    expected = {"append one": "6", "append a": "8.6", "one late": "6.5", "delete": "6.1"}
    for name, costs in after_edits(summarizer, arguments.facts, arguments.edits).items():
        calls = [calls for calls, _ in costs]
        mean, trips = statistics.mean(calls), max(trips for _, trips in costs)
        said = next(text for start, text in expected.items() if name.startswith(start))
        _line(f"  {name}", f"{mean:.1f}", max(calls), trips, said)


def _batch(summarizer: LlmSummarizer, number: int) -> tuple[int, str, int]:
    calls, round_trips = in_one_batch(summarizer, number)
    return calls, "", round_trips


def _line(*cells: object) -> None:
    first, *rest = (str(cell) for cell in cells)
    print(f"{first:<28}" + "".join(f"{cell:>18}" for cell in rest))


if __name__ == "__main__":
    main()
