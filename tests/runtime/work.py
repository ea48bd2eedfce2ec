"""Functions that run on workers in these tests; workers import them from here."""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loopwright.errors import RefusedError, TrainingDiverged
from loopwright.runtime import Worker
from loopwright.types import seed_of


def draw(item: int) -> tuple[int, int]:
    """Slower for early items, so that results come in another order than items went out."""
    time.sleep(0.05 if item % 3 == 0 else 0.0)
    return item, seed_of("draw", item)


@functools.cache
def model_of_process() -> tuple[int, int]:
    """Stands for a model that a process reads once."""
    return os.getpid(), time.monotonic_ns()


def who(item: int) -> tuple[int, int]:
    time.sleep(0.2)
    return model_of_process()


def refuse_odd(item: int) -> int:
    if item % 2:
        raise RefusedError(f"{item} is odd", "use an even one")
    return item


def divide(item: int) -> float:
    return 1 / item


def unpicklable(item: int) -> Any:
    return lambda: item


def die(item: int) -> None:
    os._exit(9)


def look(item: str) -> dict[str, Any]:
    """What a worker sees of the world."""
    token = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
    return {
        "environment": dict(os.environ),
        "token": str(token),
        "mode": oct(token.stat().st_mode & 0o777),
        "directory": str(Path.cwd()),
    }


def multiply(factor: int, item: int) -> int:
    return factor * item


def count(job: Mapping[str, Any], worker: Worker) -> dict[str, Any]:
    """Add up numbers, a checkpoint every other step; ``die_at``, ``diverge_at`` and the like say how it goes wrong.

    The sum depends on every step, so a job that repeats or skips one after a crash gives another number.
    """
    total, first = 0, 0
    resumed = worker.latest()
    if resumed is not None:
        total, first = json.loads((resumed / "state.json").read_text())
    for step in range(first + 1, job["steps"] + 1):
        total = total * 31 % 1_000_003 + seed_of(job["seed"], step, worker.rank) % 1000
        time.sleep(job.get("pause", 0.0))
        go_wrong(job, worker, step)
        directory = None
        if step % 2 == 0:
            directory = worker.storage / f"step_{step:08d}"
            if worker.rank == 0:
                directory.mkdir(exist_ok=True)
                (directory / "state.json").write_text(json.dumps([total, step]))
        worker.report({"step": step, "steps": job["steps"], "loss": 1 / step}, directory if worker.rank == 0 else None)
    return {"total": total, "pair": (worker.world_size, worker.device), "resumed": first, "rank": worker.rank}


def go_wrong(job: Mapping[str, Any], worker: Worker, step: int) -> None:
    if worker.rank != job.get("rank", 0) or step != job.get("at"):
        return
    if job["how"] == "die always":
        os.write(2, b"last words of a worker\n")
        os._exit(9)
    if job["how"] == "die once" and not (worker.storage / "died").exists():
        (worker.storage / "died").touch()
        os._exit(9)
    if job["how"] == "diverge":
        raise TrainingDiverged("the loss is NaN at step 3", "lower the learning rate")
    if job["how"] == "bug":
        raise KeyError("no such column")


def whoami(job: Mapping[str, Any], worker: Worker) -> dict[str, Any]:
    return {"pid": os.getpid(), "job": dict(job), "latest": str(worker.latest()), "storage": str(worker.storage)}


def nonsense(job: Mapping[str, Any], worker: Worker) -> Any:
    return {"path": Path("x")}


def allreduce(job: Mapping[str, Any], worker: Worker) -> dict[str, float]:
    """A step of data-parallel training by hand: torch's own process group, as Ray Train has set it up."""
    import torch
    import torch.distributed as dist

    dist.barrier()
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(1, 1, bias=False))
    torch.nn.init.constant_(model.module.weight, 2.0)
    loss = model(torch.tensor([[float(worker.rank + 1)]])).sum()
    loss.backward()
    seen = torch.tensor([float(worker.rank + 1)])
    dist.all_reduce(seen)
    return {"gradient": model.module.weight.grad.item(), "sum": seen.item(), "world": dist.get_world_size()}


def wait_in_collective(job: Mapping[str, Any], worker: Worker) -> dict[str, float]:
    """Rank 1 fails while rank 0 waits for it."""
    import torch
    import torch.distributed as dist

    if worker.rank == 1:
        raise TrainingDiverged("rank 1 saw NaN", "lower the learning rate")
    dist.all_reduce(torch.zeros(1))
    return {}


def leave_a_mark(item: Mapping[str, Any]) -> list[Any]:
    """Shows in a file that it was called; gives numbers and text that must come back in the same bytes."""
    number = item["number"]
    if item.get("fails"):
        return [1 / 0]
    with (Path(item["place"]) / "marks").open("a") as file:
        file.write(str(number))
    return [number, 0.1 + number, "ü\u2028", None, ("pair", number)]


def large(size: int) -> bytes:
    """A result that goes through Ray's object store."""
    return os.urandom(1) * size


def pause(seconds: float) -> tuple[float, float]:
    """Waits, and says from when until when."""
    begun = time.monotonic()
    time.sleep(seconds)
    return begun, time.monotonic()


def network(item: int) -> str:
    """The network namespace in which it runs: on one machine, what tells nodes apart."""
    time.sleep(0.05)
    return os.readlink("/proc/self/ns/net")


def network_of_rank(job: Mapping[str, Any], worker: Worker) -> dict[str, str]:
    return {"network": network(0)}


def too_much(item: int) -> int:
    """Asks torch for more memory than there is."""
    import torch

    return int(torch.empty(1 << 50).numel())
