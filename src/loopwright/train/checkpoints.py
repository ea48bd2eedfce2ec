"""Resume checkpoints: weights, optimiser state and history in one safetensors file. There is no pickle in them.

Weights that are not trained are not in them: a model that learns by adapters has small ones.

They are private to one job and live in its storage as ``step_XXXXXXXX/``. `Worker.report` completes one (it writes
``COMPLETE.json`` last, with the digests), and `Worker.latest` gives the newest complete one that still matches.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from loopwright.errors import IntegrityError

__all__ = ["read_checkpoint", "restore_model", "restore_optimizer", "write_checkpoint"]

_FILE = "state.safetensors"
_PARTS = ("model", "optimizer", "history")


def write_checkpoint(
    storage: Path, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, history: Mapping[str, Tensor]
) -> Path:
    """Write ``storage/step_XXXXXXXX``; an earlier, unfinished try of that name is overwritten."""
    directory = storage / f"step_{step:08d}"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    frozen = _frozen(model)
    tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items() if name not in frozen}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{number}/{name}": torch.as_tensor(value) for name, value in state.items()}
    tensors |= {f"history/{name}": tensor for name, tensor in history.items()}
    # clone: tensors that share memory (tied weights) are refused by safetensors
    owned = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
    save_file(owned, directory / _FILE, metadata={"step": str(step)})
    return directory


def read_checkpoint(directory: Path) -> tuple[int, dict[str, dict[str, Tensor]]]:
    """The step, and tensors by part: ``model``, ``optimizer``, ``history``. IntegrityError where it cannot be read."""
    parts: dict[str, dict[str, Tensor]] = {part: {} for part in _PARTS}
    try:
        with safe_open(directory / _FILE, framework="pt") as file:
            step = int(file.metadata()["step"])
            for key in file.keys():  # noqa: SIM118  # not a mapping
                part, _, name = key.partition("/")
                parts[part][name] = file.get_tensor(key)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise IntegrityError(f"the resume checkpoint {directory.name} cannot be read: {error}", f"rm -r {directory}") from error
    return step, parts


def restore_model(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a model whose frozen weights are in place already the rest; IntegrityError where one is missing or too many."""
    found = model.load_state_dict(dict(tensors), strict=False)
    wrong = [*found.unexpected_keys, *sorted(set(found.missing_keys) - _frozen(model))]
    if wrong:
        raise IntegrityError(f"the resume checkpoint is another model's: {wrong[0]}", "remove the phase's scratch folder")


def _frozen(model: nn.Module) -> set[str]:
    """Names of weights that training leaves alone, each name of a shared one."""
    return {name for name, weight in model.named_parameters(remove_duplicate=False) if not weight.requires_grad}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give a fresh optimiser of the same parameters the state that was saved."""
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        number, _, key = name.partition("/")
        state.setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
