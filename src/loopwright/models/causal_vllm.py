"""Answers of a language model by vLLM: many rows at once, in the process that holds the accelerator, adapters beside one base.

Prompts go in and answers come out as ids, so what is framed, stopped at and read is the same as with `causal_sampler`; only the sums
are vLLM's. The same list of prompts and seeds gives the same answers on one kind of device as far as vLLM keeps its own promise
(its page "Reproducibility"), and no further. Nothing is fetched and nothing is reported to anybody.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loopwright.errors import PluginError

__all__ = ["ALLOWED", "answer_by_vllm"]

ALLOWED = frozenset({"gpu_memory_utilization", "max_num_seqs", "max_num_batched_tokens", "enforce_eager", "kv_cache_dtype"})
"""Engine arguments that a plan may set; what loads code, fetches or listens is not among them."""

_QUIET = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the engine ends with the worker, and gives its memory back with it
}

_running: dict[tuple[Any, ...], Any] = {}
"""The one engine of this process, by what it was started for: it takes most of a GPU."""


def answer_by_vllm(
    model: Any,
    prompts: Sequence[tuple[int, ...]],
    seeds: Sequence[int],
    temperature: float,
    most: int,
    engine: Mapping[str, Any],
) -> list[list[int]]:
    """One answer a prompt, in order, as ids up to and with an end mark; ``most`` ids where none came.

    ``model`` says where it lies: ``folder`` (the base, or all of a model that was trained whole), ``adapter``, a folder or None, and
    ``number``, another for each that was read. ``engine`` is vLLM's ``dtype`` and what else the plan sets.

    Raises:
        PluginError: vLLM is not installed.
    """
    started, stops = _started(model, engine), sorted(model.speech.stops)
    from vllm import SamplingParams

    mute = dict.fromkeys(range(model.speech.size, model.get_input_embeddings().num_embeddings), -100.0)
    asked = [
        SamplingParams(
            temperature=temperature,
            seed=seed % 2**63,
            max_tokens=most,
            stop_token_ids=stops,
            logit_bias=mute or None,  # ids without a text
            detokenize=False,
        )
        for seed in seeds
    ]
    heads = [{"prompt_token_ids": list(prompt)} for prompt in prompts]
    found = started.generate(heads, asked, use_tqdm=False, lora_request=_adapter(model))
    return [list(one.outputs[0].token_ids) for one in found]


def _started(model: Any, engine: Mapping[str, Any]) -> Any:
    """An engine for this base: the one that runs, where it was started for the same."""
    wanted = (str(model.folder), model.number if model.adapter is None else None, model.lora, *sorted(engine.items()))
    if wanted in _running:
        return _running[wanted]
    _running.clear()
    gc.collect()  # the old one's memory, before the new one measures how much there is
    os.environ.update(_QUIET)
    try:
        from vllm import LLM
    except ImportError as error:
        raise PluginError(
            f"the plan lets vLLM answer (model.settings.engine), and it cannot be imported: {error}",
            "pip install 'loopwright[vllm]' in an environment of its own, or take `engine` out of loop.yaml",
        ) from error
    adapters = {"enable_lora": True, "max_loras": 1, "max_lora_rank": _rank(model.lora.r)} if model.lora else {}
    _running[wanted] = LLM(
        model=str(model.folder),
        max_model_len=getattr(model.config, "max_position_embeddings", None),
        skip_tokenizer_init=True,
        disable_log_stats=True,
        seed=0,
        **adapters,
        **engine,
    )
    return _running[wanted]


def _adapter(model: Any) -> Any:
    """Under a number of its own for every time that one was read: the same path may hold another adapter by now."""
    if model.adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest(f"adapter-{model.number}", model.number, str(Path(model.adapter)))


def _rank(rank: int) -> int:
    """The next larger of the ranks that vLLM has room for: 8, 16, 32 and so on."""
    return max(8, 1 << (rank - 1).bit_length())
