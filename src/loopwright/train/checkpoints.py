"""Resume checkpoints: weights, optimiser state and history, by `torch.distributed.checkpoint`, as safetensors. There is no pickle in them.

Each rank writes what it holds into a file of its own; a model that all ranks hold is written by the one that saves. Every part says
which part of the whole tensor it is, as torch's own reader of such files expects it (`HuggingFaceStorageReader`), so any number of
ranks can go on. What torch would write besides, ``.metadata``, is a pickle, and nothing in it is needed.

Weights that are not trained are not in them: a model that learns by adapters has small ones.

They are private to one job and live in its storage as ``step_XXXXXXXX/``. Files are hashed while they are written. `Worker.report`
completes a checkpoint (it writes ``COMPLETE.json`` last, with the digests), and `Worker.latest` gives the newest complete one
that still matches.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.planner import SavePlan, SavePlanner, WriteItem, WriteItemType
from torch.distributed.checkpoint.storage import StorageWriter, WriteResult
from torch.futures import Future

from loopwright.errors import InfraError, IntegrityError
from loopwright.models.tensors import write_tensors
from loopwright.written import Written, from_json, leave, noting, to_json

__all__ = ["read_checkpoint", "state_of", "step_of", "write_checkpoint"]

_SHARDING, _OFFSETS = "DCP_SHARDING_INFO", "saved_offsets"
"""Where torch's reader looks for the place of a part in its tensor."""


def state_of(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What training changes: ``model/<name>``, ``optimizer/<name>/<state>``. A shared weight goes by its first name."""
    first = {name for name, weight in model.named_parameters() if weight.requires_grad}
    left_out = {name for name, _ in model.named_parameters(remove_duplicate=False)} - first
    state = {f"model/{name}": tensor for name, tensor in model.state_dict().items() if name not in left_out}
    for name, weight in model.named_parameters():
        state |= {f"optimizer/{name}/{key}": value for key, value in _states(optimizer, weight).items()}
    return state


def _states(optimizer: torch.optim.Optimizer, weight: Tensor) -> Mapping[str, Tensor]:
    """AdamW's memory of one weight, made where there is none yet: a checkpoint is read in place."""
    if weight.requires_grad and weight not in optimizer.state:
        step = torch.zeros((), dtype=torch.float32, device=weight.device)
        zeros = (torch.zeros_like(weight, requires_grad=False) for _ in range(2))
        optimizer.state[weight] = dict(zip(("step", "exp_avg", "exp_avg_sq"), (step, *zeros), strict=True))
    return optimizer.state[weight] if weight.requires_grad else {}


def write_checkpoint(storage: Path, step: int, state: Mapping[str, Tensor], *, rank: int, together: bool) -> Path:
    """Write ``storage/step_XXXXXXXX``; an earlier, unfinished try of that name is overwritten.

    Args:
        storage: What all ranks share.
        step: Steps that are done.
        state: Tensors by name; of one that is cut up (`DTensor`), this rank's part is written.
        rank: This rank's number.
        together: All ranks call this, each for its part. Else this rank alone does, for everything.

    Raises:
        InfraError: the disk took it not, on whichever rank.
    """
    directory = storage / f"step_{step:08d}"
    writer = _Writer(directory, step, rank)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="torch.distributed.checkpoint")  # that one rank saves alone: it is meant
        try:
            dcp.save(dict(state), storage_writer=writer, no_dist=not together)
        except dcp.CheckpointException as error:  # no `Exception`: on its way nobody would take it for a failure
            cause = next(iter(error.failures.values()))[0]
            raise InfraError(f"a resume checkpoint cannot be written: {cause}", f"mend {storage}") from cause
    return directory


def step_of(directory: Path) -> int:
    """How many steps were done when it was written; IntegrityError where it cannot be read."""
    try:
        with safe_open(min(directory.glob("*.safetensors")), framework="pt") as file:
            return int(file.metadata()["step"])
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise _damaged(directory, error) from error


def read_checkpoint(directory: Path, state: Mapping[str, Tensor]) -> None:
    """Fill the tensors of ``state`` in place, each rank its own parts, from however many files; no rank waits for another.

    Raises:
        IntegrityError: it cannot be read, or is not of this model.
    """
    reader = dcp.HuggingFaceStorageReader(str(directory))
    try:
        found = reader.read_metadata().state_dict_metadata
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise _damaged(directory, error) from error
    sizes = {name: tuple(getattr(tensor, "size", ())) for name, tensor in found.items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in state.items()}
    wrong = sorted(name for name in sizes.keys() | wanted.keys() if sizes.get(name) != wanted.get(name))
    if wrong:
        raise IntegrityError(f"the resume checkpoint is another model's: {wrong[0]}", "remove the phase's scratch folder")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="torch.distributed.checkpoint")
        try:
            dcp.load(dict(state), storage_reader=reader, no_dist=True)
        except (OSError, SafetensorError, dcp.CheckpointException) as error:
            raise _damaged(directory, error) from error


def _damaged(directory: Path, error: BaseException) -> IntegrityError:
    return IntegrityError(f"the resume checkpoint {directory.name} cannot be read: {error}", f"rm -r {directory}")


class _Writer(StorageWriter):
    """Where `torch.distributed.checkpoint` puts what it has planned: one safetensors file a rank."""

    def __init__(self, directory: Path, step: int, rank: int) -> None:
        self._directory, self._step, self._rank = directory, step, rank

    def reset(self, checkpoint_id: Any = None) -> None:
        """One writer, one checkpoint."""

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """An empty directory; the plan, for which all ranks wait, comes after it."""
        if is_coordinator:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory.mkdir(parents=True)

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        return plans

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        """This rank's file, and in the first result what it is known by."""
        tensors, offsets = dict[str, Tensor](), dict[str, Any]()
        for item in plan.items:
            place = _place(item)
            if place is not None:
                tensors[item.index.fqn] = planner.resolve_data(item)  # type: ignore[assignment]  # no bytes: see _place
                offsets[item.index.fqn] = {_OFFSETS: place}
        said = {"format": "pt", "step": str(self._step), _SHARDING: json.dumps(offsets)}
        with noting() as notes:
            if tensors:
                write_tensors(self._directory / f"state-{self._rank:05d}.safetensors", tensors, said, md5=False)
        done: Future[list[WriteResult]] = Future()
        done.set_result([WriteResult(index=item.index, size_in_bytes=0, storage_data=to_json(notes)) for item in plan.items])
        return done

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Put down the digests of all ranks' files for who registers the checkpoint."""
        notes: Written = {}
        for result in results:
            notes |= from_json(result[0].storage_data) if result else {}
        leave(self._directory, notes)

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:  # noqa: ARG003  # torch's protocol
        return True


def _place(item: WriteItem) -> list[int] | None:
    """Where the item begins in its tensor; None for the empty part of one that has fewer rows than there are ranks.

    Raises:
        TypeError: it is no tensor, and torch would pickle it.
    """
    if item.type is WriteItemType.BYTE_IO or item.tensor_data is None:
        raise TypeError(f"{item.index.fqn} is no tensor")
    chunk = item.tensor_data.chunk
    return list(chunk.offsets) if all(chunk.sizes) else None
