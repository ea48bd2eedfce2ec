"""Ranks of a gloo group as processes of their own, forked from one that has imported all already."""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from loopwright.errors import Preempted
from loopwright.runtime.checkpoints import latest, register
from loopwright.train.fit import fit

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["loopwright.train.loop", "transformers.models.llama.modeling_llama", "peft", "tests.train.gang"])


class Rank:
    """A worker as the executor would hand it over; all ranks are killed together after the step ``dies_at``."""

    device = "cpu"

    def __init__(self, storage: Path, rank: int, world_size: int, dies_at: int | None) -> None:
        self.storage, self.rank, self.world_size = storage, rank, world_size
        self.steps: list[int] = []
        self._dies_at = dies_at

    def report(self, metrics: Mapping[str, float], directory: Path | None = None) -> None:
        assert directory is None or self.rank == 0
        if directory is not None:
            register(directory)
        self.steps.append(int(metrics["step"]))
        self._meet()
        if self._dies_at == metrics["step"]:
            os._exit(0)

    def latest(self) -> Path | None:
        self._meet()
        return latest(self.storage)

    def agree(self, value: Any) -> Any:
        import torch.distributed

        said = [value]
        if self.world_size > 1:
            torch.distributed.broadcast_object_list(said)
        return said[0]

    def _meet(self) -> None:
        import torch.distributed

        if self.world_size > 1:
            torch.distributed.barrier()


def train(job: Mapping[str, Any], ranks: int, dies_at: int | None = None) -> dict[str, Any]:
    """Rank 0's result of `fit` on so many ranks, with the steps that it reported; empty where all were killed."""
    return next(iter(train_all(job, ranks, dies_at)), {})


def train_all(job: Mapping[str, Any], ranks: int, dies_at: int | None = None) -> list[dict[str, Any]]:
    """The same of every rank."""
    return gang(ranks, _train, dict(job), dies_at)


def _train(rank: int, ranks: int, job: dict[str, Any], dies_at: int | None) -> Any:
    storage = Path(job["storage"]) / job["key"]
    storage.mkdir(parents=True, exist_ok=True)
    worker = Rank(storage, rank, ranks, dies_at)
    try:
        return fit(job, worker) | {"steps": worker.steps}
    except Preempted as told:
        return {"told": told.message}


def gang(ranks: int, call: Callable[..., Any], *arguments: Any) -> list[Any]:
    """``call(rank, ranks, *arguments)`` on each of a group of ``ranks``; what those gave back that were not killed."""
    with tempfile.TemporaryDirectory() as name:
        processes = [_FORKS.Process(target=_rank, args=(Path(name), rank, ranks, call, arguments)) for rank in range(ranks)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(180)
        said = [path.read_text() for path in sorted(Path(name).glob("error-*"))]
        assert [process.exitcode for process in processes] == [0] * ranks, "\n".join(said)
        return [json.loads(path.read_text()) for path in sorted(Path(name).glob("answer-*"))]


def _rank(meeting: Path, rank: int, ranks: int, call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    import torch.distributed

    try:
        if ranks > 1:
            torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}/m", rank=rank, world_size=ranks)
        answer = call(rank, ranks, *arguments)
        (meeting / f"answer-{rank}").write_text(json.dumps(answer))
        if ranks > 1:
            torch.distributed.destroy_process_group()
    except BaseException:
        (meeting / f"error-{rank}").write_text(traceback.format_exc())
        raise
