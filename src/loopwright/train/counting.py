"""What a training costs to compute, counted where it happens: tokens through the model, operations of a step, the device.

A step's operations are counted by torch on the first shard of an attempt, whose gradients are thrown away: one more shard among
all that are trained on, and no bit of the training changes.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from loopwright.plugins import ModelFamily

__all__ = ["Clock", "count_shard", "device_facts", "positions", "trained"]


def positions(batch: Mapping[str, Any]) -> int:
    """Tokens of a batch that a model reads, prompts among them: by ``lengths`` or ``attention_mask``, else padding counts too."""
    for name in ("lengths", "attention_mask"):
        if name in batch:
            return int(batch[name].sum())
    return int(batch["weight"].numel())


def count_shard(family: ModelFamily, model: torch.nn.Module, batch: Mapping[str, Any], *, cut: bool = False) -> dict[str, Any]:
    """Forward and backward of one shard by `torch.utils.flop_counter`: matrix products and attention, multiply and add apart.

    Neither gradients nor random numbers of the training are touched. Hooks of DDP do not see it either. A model that is ``cut`` up
    over the ranks can only do it together with them, and leaves gradients, which are dropped: nothing was learnt before.
    """
    from torch.utils.flop_counter import FlopCounterMode

    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    devices = sorted({parameter.device for parameter in weights if parameter.is_cuda}, key=str)
    with torch.random.fork_rng(devices=devices), torch.enable_grad(), FlopCounterMode(display=False) as counter:
        loss = family.loss(model, batch)
        if cut:
            loss.backward()
        else:
            torch.autograd.grad(loss, weights, allow_unused=True)
    if cut:
        model.zero_grad(set_to_none=True)
    method = f"torch.utils.flop_counter of torch {torch.__version__}, one shard forward and backward"
    return {"flop": int(counter.get_total_flops()), "tokens": positions(batch), "method": method}


def trained(model: torch.nn.Module) -> int:
    """Parameters that an update changes."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def device_facts(device: str, threads: int) -> dict[str, Any]:
    """What one rank computes on, as far as the hardware method needs it."""
    if torch.device(device).type == "cuda":
        return {"kind": "cuda", "name": torch.cuda.get_device_name(device)}
    facts = dict[str, str]()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    told: dict[str, Any] = {"kind": "cpu", "name": facts.get("model name", platform.machine()), "threads": threads}
    with suppress(KeyError, ValueError):
        told["mhz"] = round(float(facts["cpu MHz"]))
    return told


class Clock:
    """Wall time, and on a CPU the share of it in which the process computed: the reading of utilisation that costs nothing."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self, device: Mapping[str, Any]) -> dict[str, Any]:
        """``seconds``, and on a CPU ``busy``: computing seconds per second and thread."""
        wall = time.perf_counter() - self._wall
        told: dict[str, Any] = {"seconds": round(wall, 3)}
        if device["kind"] == "cpu":
            told["busy"] = round(min(1.0, (time.process_time() - self._cpu) / max(wall * device["threads"], 1e-9)), 4)
        return told
