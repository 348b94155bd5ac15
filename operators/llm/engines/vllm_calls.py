"""A request in vLLM's terms, and vLLM's output as an answer."""

from typing import TYPE_CHECKING, Any

from operators.llm.call import Answer, Request
from operators.llm.engines.base import CallFailedError
from operators.llm.spec import VllmLlm

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.outputs import RequestOutput


def prompt_tokens(tokenizer: Any, request: Request) -> list[int]:
    """The turns as token ids, by the chat template of the model, up to where it answers."""
    turns = [{"role": role, "content": text} for role, text in request.turns]
    tokens = tokenizer.apply_chat_template(
        turns, add_generation_prompt=True, tokenize=True, return_dict=False
    )
    return list(tokens)


def sampling(llm: VllmLlm, request: Request) -> "SamplingParams":
    """How the answer is written: by the schema, up to `max_tokens`, whole or not at all."""
    from vllm import SamplingParams  # noqa: PLC0415
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams  # noqa: PLC0415

    return SamplingParams(
        temperature=llm.temperature,
        seed=llm.seed,
        max_tokens=request.max_tokens,
        structured_outputs=StructuredOutputsParams(json=request.schema),
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def answer_of(output: "RequestOutput", call_id: str, latency_ms: float) -> Answer:
    """The finished output as it is recorded.

    Raises:
        CallFailedError: the engine gave up the call.
    """
    completion = output.outputs[0]
    reason = completion.finish_reason
    if reason not in ("stop", "length"):
        raise CallFailedError(f"vLLM ended call {call_id} without an answer ({reason})")
    return Answer(
        call_id=call_id,
        status="truncated" if reason == "length" else "ok",
        text=completion.text,
        tokens_in=len(output.prompt_token_ids or ()),
        tokens_out=len(completion.token_ids),
        cached_tokens=output.num_cached_tokens or 0,
        latency_ms=latency_ms,
    )


def refusal(call_id: str, reason: str, tokens_in: int = 0) -> Answer:
    """The answer to a request that this model cannot take."""
    return Answer(call_id=call_id, status="refused", text=reason, tokens_in=tokens_in)
