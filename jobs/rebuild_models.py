"""The models of a rebuild in this process: an erasure must not depend on whether one answers."""

from collections.abc import Sequence
from pathlib import Path

from jobs.llm_gateways import ANSWERS_DIR
from jobs.local_llm import LocalLlms
from jobs.local_models import LocalModels
from jobs.observe.logs import say
from operators.embedding.host import EmbedderHost
from operators.llm.call import Answer, Request
from operators.llm.errors import ModelUnavailableError
from operators.llm.journal import AnswerJournal
from operators.llm.spec import AnyLlm


class RebuildModels(LocalModels):
    """Local models; where a language model cannot be reached, calls are left unanswered.

    The rules stand in then, with a dead letter, and the next build asks again. New answers are
    journaled, so that an erasure that is killed pays for none twice.

    Args:
        hosts: embedders that remember what they have answered.
        answers: recorded answers of language models, which are not asked for again.
        journal: folder of the journals.
    """

    def __init__(
        self, hosts: Sequence[EmbedderHost], answers: Sequence[Answer], journal: Path
    ) -> None:
        super().__init__(*hosts)
        self._recorded = answers
        self._journal = journal
        self._gateways: LocalLlms | None = None
        self._down: str | None = None
        self._known: dict[str, Answer] = {}
        self._missing = 0

    def generate(self, llm: AnyLlm, requests: Sequence[Request]) -> Sequence[Answer]:
        """Answers of a language model; status `unanswered` where it cannot be reached."""
        if self._down is None:
            try:
                return self._reached().generate(llm, requests)
            except ModelUnavailableError as error:
                self._down = str(error)
                journaled = AnswerJournal(self._journal / ANSWERS_DIR, "reader").load()
                self._known = {a.call_id: a for a in (*self._recorded, *journaled)}
        return [self._known_or_none(request.call_id(llm)) for request in requests]

    def close(self) -> None:
        """End the engines, and tell the user of what is missing."""
        super().close()
        if self._gateways is not None:
            self._gateways.close()
            self._gateways = None
        if self._missing:
            say(
                "model.unanswered",
                f"{self._missing:,} calls got no answer: {self._down}\nThe rules stand in for now; "
                "`memoryflow consolidate` asks the model again.",
                level="warning",
                calls=self._missing,
            )

    def _reached(self) -> LocalLlms:
        if self._gateways is None:
            self._gateways = LocalLlms(self._recorded, journal=self._journal)
        return self._gateways

    def _known_or_none(self, call_id: str) -> Answer:
        known = self._known.get(call_id)
        self._missing += known is None
        return known or Answer(call_id, "unanswered", "the model cannot be reached")
