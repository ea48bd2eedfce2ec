"""Where work runs: in this process, or on a Ray cluster. Phases see these protocols and never a vendor.

What runs where must not show in an artifact: items are fixed by the plan, results keep the order of the items, and
randomness belongs to row ids. So one worker or forty give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from loopwright.types import Progress

__all__ = ["Executor", "TrainFunction", "Worker"]

Agreed = TypeVar("Agreed")
Item = TypeVar("Item")
Result = TypeVar("Result")


class Worker(Protocol):
    """One rank of a training group, as the training code sees it."""

    @property
    def rank(self) -> int:
        """0 to ``world_size - 1``; rank 0 writes what all share."""
        ...

    @property
    def world_size(self) -> int: ...

    @property
    def device(self) -> str:
        """A torch device, for example ``cpu`` or ``cuda:0``."""
        ...

    @property
    def storage(self) -> Path:
        """A directory that all ranks of this job share; private to the job, for resume checkpoints."""
        ...

    def report(self, metrics: Mapping[str, float], directory: Path | None = None) -> None:
        """Tell the driver how far this rank is; every rank calls it equally often.

        ``directory``, given by rank 0 after all shards are in it, is registered as the checkpoint to resume from.
        """
        ...

    def latest(self) -> Path | None:
        """The last complete checkpoint directory of this job, or None."""
        ...

    def agree(self, value: Agreed) -> Agreed:
        """What rank 0 passed here; every rank calls it equally often. Costs milliseconds with more than one rank."""
        ...


TrainFunction = Callable[[Mapping[str, Any], Worker], Mapping[str, Any]]
"""Importable at module level; runs on every rank; rank 0's return value (plain JSON) is the result."""


class Executor(Protocol):
    """Runs a phase's work items and its training."""

    @property
    def name(self) -> str:
        """``in-process`` or ``ray``; recorded in statements, never in manifests."""
        ...

    def warm(self) -> None:
        """Start what is slow to start, without waiting for it."""
        ...

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        progress: Progress | None = None,
        unit: str = "",
        each: Callable[[int, Result], None] | None = None,
    ) -> list[Result]:
        """``[function(item) for item in items]``, anywhere; ``function`` is importable at module level.

        ``each(index, result)`` is called as results come, in any order, also where another item then fails.
        """
        ...

    def train(self, function: TrainFunction, job: Mapping[str, Any], progress: Progress | None = None) -> Mapping[str, Any]:
        """Run ``function(job, worker)`` on every rank of the training group and return rank 0's result.

        ``job`` is plain JSON and has ``key`` (the job's name: a rerun with the same key resumes), ``storage`` (absolute
        path, the parent of `Worker.storage`). Progress is reported from metrics ``step`` and ``steps``.
        Errors of `loopwright.errors` raised on a rank arrive here as they are.
        """
        ...

    def describe(self) -> Mapping[str, Any]:
        """Facts for the statement: name, workers, versions. Plain JSON."""
        ...

    def close(self) -> None:
        """Release everything."""
        ...
