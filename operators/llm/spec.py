"""Language models as declared in a pipeline: which one answers, and how it is reached.

A pipeline declares a model once, under a key that `load` skips, and refers to it:

    x-llm: &llm
      engine: openai
      model: qwen3-30b-a3b
      url: http://127.0.0.1:8000/v1
    steps:
      - id: extract
        operator: llm_facts
        llm: *llm

Only what decides the answers is in the fingerprint of a step (`identity`). Where the model
runs, how many calls are in flight and what they cost can change without a call being made
again.
"""

import json
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from operators.durations import Duration
from schemas.ids import content_hash


class Price(BaseModel, frozen=True):
    """US dollars per million tokens, for budgets and reports.

    Attributes:
        input: of the prompt.
        cached_input: of that part of the prompt that the engine had in its prefix cache;
            null for the same as `input`.
        output: of the answer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: float = Field(default=0.0, ge=0)
    cached_input: float | None = Field(default=None, ge=0)
    output: float = Field(default=0.0, ge=0)

    def of(self, tokens_in: int, cached: int, tokens_out: int) -> float:
        """Cost of a call, in US dollars."""
        cached_price = self.input if self.cached_input is None else self.cached_input
        fresh = (tokens_in - cached) * self.input
        return (fresh + cached * cached_price + tokens_out * self.output) / 1e6


class _Llm(BaseModel, frozen=True):
    """Shared by all engines: the model, the sampling, the price."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(min_length=1, max_length=512, description="Name of the model.")
    temperature: float = Field(default=0.0, ge=0, le=2, description="0 takes the likeliest.")
    seed: int = Field(default=0, ge=0, description="Seed of the sampling, where it is one.")
    price: Price = Field(default=Price(), description="US dollars per million tokens.")

    DECIDING: ClassVar[tuple[str, ...]] = ("model", "temperature", "seed")
    """Fields that decide the answers."""

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the answers, in JSON form: part of fingerprints and of call ids."""
        return self.model_dump(mode="json", include={"engine", *self.DECIDING})

    @property
    def model_id(self) -> str:
        """Engine and model, as recorded with every call: `vllm:smollm2-135m-instruct`."""
        return f"{self.identity['engine']}:{self.model}"

    @property
    def key(self) -> str:
        """Hash of all fields: models of one key share a gateway."""
        return content_hash("llm", json.dumps(self.model_dump(mode="json"), sort_keys=True))


class VllmLlm(_Llm, frozen=True):
    """A model that vLLM runs in Ray actors, on GPUs or on CPU.

    Attributes:
        model: `smollm2-135m-instruct` (packaged), a folder with weights, or a hub name.
        revision: of a hub name.
        dtype: arithmetic; other arithmetic gives other answers.
        max_model_len: longest prompt and answer, in tokens; null for the model's own.
        replicas: engines; calls with a common prefix go to the same one.
        gpus: GPUs of each replica, a fraction shares one; 0 is the CPU engine. With tensor
            parallelism: `gpus` is their number.
        tensor_parallel: GPUs that share the layers of one replica.
        max_in_flight: calls handed to a replica at once; it queues what does not fit.
        gpu_memory_utilization: share of the GPU's memory that a replica may take.
        kv_cache_gib: KV cache of the CPU engine, in GiB.
        cpus: logical CPUs of each replica for Ray's scheduling.
        enforce_eager: without compilation; what the CPU engine needs to be right.
    """

    engine: Literal["vllm"] = "vllm"
    revision: str | None = None
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    max_model_len: int | None = Field(default=None, ge=256)
    replicas: int = Field(default=1, ge=1, le=1_000)
    gpus: float = Field(default=0.0, ge=0)
    tensor_parallel: int = Field(default=1, ge=1)
    max_in_flight: int = Field(default=256, ge=1)
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    kv_cache_gib: float = Field(default=1.0, gt=0)
    cpus: float = Field(default=1.0, ge=0)
    enforce_eager: bool = True

    DECIDING: ClassVar[tuple[str, ...]] = (
        *("model", "revision", "dtype", "max_model_len", "temperature", "seed"),
    )


class OpenAiLlm(_Llm, frozen=True):
    """A model behind an endpoint that speaks OpenAI's chat completions.

    Attributes:
        url: base address, up to and with `/v1`.
        api_key_env: environment variable, in capitals, that holds the key; the key itself is
            never stored.
        structured: how the JSON schema of the answer is sent: as `response_format` of type
            `json_schema`, only asking for `json_object`, or not at all (`none`).
        max_in_flight: calls in flight at once.
        timeout: how long an answer may take.
        attempts: tries of a call that fails for a reason of the endpoint (429, 5xx, timeout).
    """

    engine: Literal["openai"] = "openai"
    url: str = Field(pattern=r"^https?://", max_length=2_000)
    # Capitals: else a key written here by mistake would pass, and be recorded with every run.
    api_key_env: str | None = Field(default=None, pattern=r"^[A-Z_][A-Z0-9_]*$", max_length=128)
    structured: Literal["json_schema", "json_object", "none"] = "json_schema"
    max_in_flight: int = Field(default=64, ge=1, le=10_000)
    timeout: Duration = timedelta(seconds=120)
    attempts: int = Field(default=6, ge=1, le=100)

    DECIDING: ClassVar[tuple[str, ...]] = ("model", "structured", "temperature", "seed")


AnyLlm = Annotated[VllmLlm | OpenAiLlm, Field(discriminator="engine")]
