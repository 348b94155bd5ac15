"""A KV connector of vLLM that gives requests the caches they name.

vLLM asks a connector which first tokens of a request somebody else has computed. Here these are
placeholders, one for each kept token: their keys and values come from a tensor file, so nobody
computes them. vLLM imports this module by name, in its scheduler and in its workers.

Requests say `kv_transfer_params` in their `extra_args`: see `KvParams`. Those that say nothing
are left alone.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import torch
from vllm.config import VllmConfig
from vllm.distributed.kv_transfer.kv_connector.v1.base import (
    KVConnectorBase_V1,
    KVConnectorMetadata,
    KVConnectorRole,
)
from vllm.forward_context import ForwardContext
from vllm.v1.attention.backend import AttentionMetadata
from vllm.v1.core.kv_cache_manager import KVCacheBlocks
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.kv_cache_interface import KVCacheConfig
from vllm.v1.request import Request

from operators.replay.engines.loaded_files import LoadedFiles
from operators.replay.engines.vllm_kv_layout import blocks_of, paged_layers, slots, write

_LOG = logging.getLogger(__name__)


class KvParams(TypedDict):
    """What a request says: its first `length` tokens stand for the cache in `file`."""

    file: str
    checksum: str
    length: int


@dataclass(frozen=True)
class KvLoad:
    """A cache, and the paged memory it goes to.

    Attributes:
        file: the tensor file.
        checksum: of it.
        first: tokens before it are in the blocks already (vLLM's prefix cache).
        length: tokens of the cache.
        blocks: of the request.
    """

    file: str
    checksum: str
    first: int
    length: int
    blocks: tuple[int, ...]


@dataclass
class KvLoads(KVConnectorMetadata):
    """What the workers load before the next step; from the scheduler to each of them."""

    loads: list[KvLoad]


class MemoryflowKvConnector(KVConnectorBase_V1):
    """Implements vLLM's `KVConnectorBase_V1`; one in the scheduler, one in each worker."""

    def __init__(
        self, vllm_config: VllmConfig, role: KVConnectorRole, kv_cache_config: KVCacheConfig
    ) -> None:
        super().__init__(vllm_config, role, kv_cache_config)
        (group,) = kv_cache_config.kv_cache_groups
        self._block_size = group.kv_cache_spec.block_size
        self._loads: list[KvLoad] = []
        self._failed: set[int] = set()
        self._files = LoadedFiles(vllm_config.model_config.dtype)

    # In the scheduler.

    def get_num_new_matched_tokens(
        self, request: Request, num_computed_tokens: int
    ) -> tuple[int, bool]:
        """Tokens of the request's cache past those that vLLM has; loaded within the step."""
        params = _params(request)
        return (max(0, params["length"] - num_computed_tokens) if params else 0), False

    def update_state_after_alloc(
        self, request: Request, blocks: KVCacheBlocks, num_external_tokens: int
    ) -> None:
        """Note down where the request's cache goes. Also after a preemption, with new blocks."""
        params = _params(request)
        if params and num_external_tokens:
            (mine,) = blocks.get_block_ids()
            first = params["length"] - num_external_tokens
            self._loads.append(KvLoad(**params, first=first, blocks=tuple(mine)))

    def build_connector_meta(self, scheduler_output: SchedulerOutput) -> KvLoads:  # noqa: ARG002
        """What was noted down since the last step."""
        loads, self._loads = self._loads, []
        return KvLoads(loads)

    # In a worker.

    def start_load_kv(self, forward_context: ForwardContext, **kwargs: Any) -> None:  # noqa: ARG002
        """Load all caches of this step, before it runs."""
        wanted = self._get_connector_metadata()
        assert isinstance(wanted, KvLoads)
        for load in wanted.loads:
            self._load(load, forward_context.no_compile_layers)

    def get_block_ids_with_load_errors(self) -> set[int]:
        """Blocks that hold nothing: vLLM fails the requests that look at them, and only those."""
        failed, self._failed = self._failed, set()
        return failed

    def wait_for_layer_load(self, layer_name: str) -> None:
        """Nothing to wait for."""

    def save_kv_layer(
        self,
        layer_name: str,
        kv_layer: torch.Tensor,
        attn_metadata: AttentionMetadata,
        **kwargs: Any,
    ) -> None:
        """Nothing is saved."""

    def wait_for_save(self) -> None:
        """Nothing to wait for."""

    def _load(self, load: KvLoad, layers: Mapping[str, Any]) -> None:
        span = (load.blocks, self._block_size, load.first, load.length)
        try:
            kv = self._files.get(Path(load.file), load.checksum)
            write(kv, paged_layers(layers), slots(*span), self._part())
        except Exception:  # whatever it is, it must not end the engine, with all other requests
            _LOG.exception("memoryflow: %s cannot be loaded", load.file)
            self._failed |= blocks_of(*span)

    def _part(self) -> tuple[int, int]:
        from vllm.distributed import (  # noqa: PLC0415  # not set up when this is imported
            get_tensor_model_parallel_rank,
            get_tensor_model_parallel_world_size,
        )

        return get_tensor_model_parallel_rank(), get_tensor_model_parallel_world_size()


def _params(request: Request) -> KvParams | None:
    found = request.kv_transfer_params
    if not found:
        return None
    return KvParams(
        file=str(found["file"]), checksum=str(found["checksum"]), length=int(found["length"])
    )
