"""The executor without Ray: everything in the driver's own process, one item after the other, one rank.

It is for tests, for small jobs and for machines on which Ray does not run, and it is the measure for the other one: both
must give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from loopwright.runtime import TrainFunction
from loopwright.runtime.checkpoints import KEPT, latest, register, sweep
from loopwright.runtime.jobs import instruction_sets, limit_threads, pack_function, perform, plain, progress_of, storage_of
from loopwright.types import Progress

__all__ = ["InProcessExecutor"]

Agreed = TypeVar("Agreed")
Item = TypeVar("Item")
Result = TypeVar("Result")


class InProcessExecutor:
    """See `loopwright.runtime.Executor`; starts nothing and leaves nothing."""

    def __init__(self, threads: int = 1, device: str = "cpu") -> None:
        self._threads = threads
        self._device = device

    @property
    def name(self) -> str:
        return "in-process"

    def warm(self) -> None:
        """Nothing is slow to start here."""

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        progress: Progress | None = None,
        unit: str = "",
        each: Callable[[int, Result], None] | None = None,
    ) -> list[Result]:
        pack_function(function)  # refused here as a cluster would refuse it
        results: list[Result] = []
        for index, item in enumerate(items):
            results.append(perform(function, item))
            if each:
                each(index, results[index])
            if progress:
                progress(index + 1, len(items), unit)
        return results

    def train(self, function: TrainFunction, job: Mapping[str, Any], progress: Progress | None = None) -> Mapping[str, Any]:
        pack_function(function)
        limit_threads(self._threads)
        storage = storage_of(job)
        sweep(storage)
        keep = int(job.get("keep", KEPT))
        return plain(
            perform(function, plain(dict(job)), _Worker(storage=storage, progress=progress, device=self._device, keep=keep))
        )

    def describe(self) -> Mapping[str, Any]:
        return {
            "executor": self.name,
            "cpu": instruction_sets(),
            "map_workers": 1,
            "threads": self._threads,
            "train_workers": 1,
        }

    def close(self) -> None:
        """Nothing was opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Worker:
    """The only rank there is."""

    storage: Path
    progress: Progress | None
    device: str
    keep: int

    @property
    def rank(self) -> int:
        return 0

    @property
    def world_size(self) -> int:
        return 1

    def report(self, metrics: Mapping[str, float], directory: Path | None = None) -> None:
        if directory is not None:
            register(directory, self.keep)
        step = progress_of(metrics)
        if self.progress and step:
            self.progress(*step, "steps")

    def latest(self) -> Path | None:
        return latest(self.storage)

    def agree(self, value: Agreed) -> Agreed:
        return value
