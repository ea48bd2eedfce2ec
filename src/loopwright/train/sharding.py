"""A model cut up over all ranks (FSDP2), and put together again: each holds a part of every weight, gradient and optimiser state.

A block's weights are gathered when it computes and let go afterwards, so that a rank holds one block and its share of the rest.
Values are those of a model that every rank holds whole, but for the last bit of the norm by which gradients are clipped: parts
are summed in float64 here, so that the norm, rounded to float32, does not hang on how many parts there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from loopwright.errors import PhaseError
from loopwright.plugins import ModelFamily, Shards, offered

__all__ = ["chosen", "clip", "gather", "shard", "sync"]

_LARGE = 16 * 2**30
"""Bytes that a whole replica may take before `auto` cuts it up: a quarter of what large devices have, the rest is for activations."""
_TRAINED = 16
"""Bytes of a trained parameter: weight, gradient and AdamW's two means, in float32."""


def chosen(wanted: str, family: ModelFamily, model: nn.Module) -> str:
    """``ddp`` or ``fsdp2``, by the plan and the model alone, so that it does not hang on where it runs.

    Raises:
        PhaseError: the plan asks for fsdp2, and the family cannot.
    """
    able = offered(family, Shards)
    if wanted == "fsdp2" and (able is None or not able.blocks(model)):
        raise PhaseError(
            f"{type(family).__name__} cannot be cut up over several workers", "set trainer.parallel to auto or ddp in loop.yaml"
        )
    if wanted != "auto":
        return wanted
    size = sum(one.numel() * (_TRAINED if one.requires_grad else one.element_size()) for one in model.parameters())
    return "fsdp2" if size > _LARGE and able is not None and able.blocks(model) else "ddp"


def shard(family: ModelFamily, model: nn.Module, mesh: Any) -> None:
    """Cut the model up in place over the ranks of ``mesh``; a block moves to its device when it is its turn."""
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    able = cast("Shards", offered(family, Shards))
    kind = able.computes_in(model)
    policy = MixedPrecisionPolicy(param_dtype=kind, reduce_dtype=torch.float32) if kind else MixedPrecisionPolicy()
    for block in able.blocks(model):
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)


def sync(model: nn.Module, on: bool) -> None:
    """Whether the next backward pass adds up the ranks' gradients; once a step is enough."""
    cast("Any", model).set_requires_gradient_sync(on)


def clip(weights: Iterable[Tensor], limit: float) -> Tensor:
    """`torch.nn.utils.clip_grad_norm_` over all ranks' parts; the norm before, in float32. Every rank of the group calls it."""
    parts = [_local(weight.grad) for weight in weights if weight.grad is not None]
    total = torch.stack([part.double().square().sum() for part in parts]).sum()
    torch.distributed.all_reduce(total)
    norm = total.sqrt().float()
    torch._foreach_mul_(parts, torch.clamp(limit / (norm + 1e-6), max=1.0))  # torch's own way of doing so
    return norm


def _local(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


@torch.no_grad()
def gather(family: ModelFamily, model: nn.Module, *, keep: bool) -> None:
    """Undo `shard`, so that the family can save the model: its weights in main memory where ``keep`` says so, nowhere else.

    Every rank calls it. Frozen weights are gathered only where saving needs them; else they are of no use afterwards.
    """
    from torch.distributed.fsdp import FSDPModule

    cast("Any", model).reshard()
    frozen = cast("Shards", offered(family, Shards)).saves_frozen(model)
    whole: dict[nn.Parameter, nn.Parameter] = {}
    for module in model.modules():
        for name, weight in list(module._parameters.items()):  # noqa: SLF001  # to set one, shared or not, as it stands
            if isinstance(weight, DTensor) and (weight.requires_grad or frozen):
                if weight not in whole:
                    tensor = weight.full_tensor()
                    tensor = tensor.cpu() if keep else tensor.new_empty(0)
                    whole[weight] = nn.Parameter(tensor, requires_grad=weight.requires_grad)
                module._parameters[name] = whole[weight]  # noqa: SLF001
        if isinstance(module, FSDPModule):
            module.__class__ = type(module).__mro__[2]  # FSDP2 put its own class in front
