"""The raw engine, to compare with: plain `vllm.LLM.generate` on given requests.

It gets all prompts at once, in the order given, as the same tokens, with the same sampling,
schemas and engine settings as the pipeline's engine, in a process of its own.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from operators.llm.call import Request
from operators.llm.engines.vllm_calls import prompt_tokens, sampling
from operators.llm.engines.vllm_engine import variables
from operators.llm.engines.vllm_settings import engine_arguments, environment
from operators.llm.packaged.resolve import weights_of
from operators.llm.spec import VllmLlm

_WARM_UP = "Say yes."


def raw_throughput(llm: VllmLlm, requests: Sequence[Request]) -> dict[str, float]:
    """`seconds` (without start-up), `requests`, `tokens_in`, `tokens_out`, `cached_tokens`.

    Starts an engine and ends it again: half a minute on CPU, besides the calls.
    """
    task = {"llm": llm.model_dump(mode="json"), "requests": [asdict(r) for r in requests]}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.llm.raw_vllm"],
        input=json.dumps(task),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    # vLLM may print lines of its own, also at the end.
    results = [line for line in done.stdout.splitlines() if line.startswith('{"seconds"')]
    return json.loads(results[-1])


def main() -> None:
    task = json.load(sys.stdin)
    llm = VllmLlm.model_validate(task["llm"])
    requests = [_request(fields) for fields in task["requests"]]
    weights = weights_of(llm)
    with variables(environment(llm, weights)):
        print(json.dumps(_measured(llm, weights, requests)))


def _request(fields: dict[str, Any]) -> Request:
    return Request(**{**fields, "turns": tuple(tuple(turn) for turn in fields["turns"])})


def _measured(llm: VllmLlm, weights: str, requests: Sequence[Request]) -> dict[str, float]:
    from vllm import LLM  # noqa: PLC0415
    from vllm.inputs import TokensPrompt  # noqa: PLC0415

    engine = LLM(**engine_arguments(llm, weights))
    tokenizer = engine.get_tokenizer()
    engine.generate(_WARM_UP, use_tqdm=False)
    started = time.perf_counter()
    outputs = engine.generate(
        [TokensPrompt(prompt_token_ids=prompt_tokens(tokenizer, r)) for r in requests],
        [sampling(llm, r) for r in requests],
        use_tqdm=False,
    )
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "requests": len(outputs),
        "tokens_in": sum(len(o.prompt_token_ids or ()) for o in outputs),
        "tokens_out": sum(len(o.outputs[0].token_ids) for o in outputs),
        "cached_tokens": sum(o.num_cached_tokens or 0 for o in outputs),
    }


if __name__ == "__main__":
    main()
