"""What calls a model: an operator, or a parameter of one such as a judge or a summarizer."""

from typing import Any, ClassVar

from pydantic import BaseModel

from operators.llm.prompt import Prompt
from operators.llm.spec import AnyLlm


class LlmPart(BaseModel, frozen=True):
    """Mixed into operators, and into parts of them chosen by `kind: llm`.

    Attributes:
        llm: the model.
        PROMPTS: what is asked of it.
    """

    llm: AnyLlm

    PROMPTS: ClassVar[tuple[Prompt[Any], ...]] = ()

    def fingerprint_parameters_of_llm(self) -> dict[str, Any]:
        """What of the model and its prompts decides the output."""
        return {"llm": self.llm.identity, "prompts": [prompt.identity for prompt in self.PROMPTS]}
