"""Work items on Ray: bounded, in any order, each result handed on as it comes.

On CPUs an item is a Ray task: Ray keeps the worker processes, so what a function caches in its process (the champion, read
once) is there for the next item. On GPUs Ray would end a task's process to free the GPU, so an item goes to an actor that
holds one GPU until training needs it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ray

from loopwright.runtime.jobs import import_early, pack, pack_function, perform_packed

__all__ = ["SLOT", "Pool"]

SLOT = 0.999
"""CPUs that Ray reckons for an item. What is left of each is for a rank that waits: with 1 a node of one CPU, on which a rank
waits, would never be given an item."""

_HOLD = 3.0
"""Seconds for which a place that has imported waits for its neighbours, lest one process take all the warming."""


class _GpuWorker:
    """A process with a GPU of its own."""

    def perform(self, function: bytes, item: bytes) -> tuple[bool, bytes]:
        return perform_packed(function, item)


class Pool:
    """Places at which items run, ``workers`` at once."""

    def __init__(self, workers: int, use_gpu: bool, preload: Sequence[str], labels: Mapping[str, str]) -> None:
        self.workers = workers
        """May change between two calls of `run`, as a cluster grows and shrinks."""
        self._use_gpu = use_gpu
        self._preload = tuple(preload)
        self._labels = dict(labels)
        self._actors: list[Any] = []
        self._task = ray.remote(num_cpus=SLOT, max_retries=2, label_selector=self._labels)(perform_packed)

    def warm(self) -> None:
        """Start the worker processes and let them import; does not wait."""
        function, order = pack_function(_warm), pack((self._preload, time.time() + _HOLD))
        for place in self._places():
            place.remote(function, order)

    def run(self, function: bytes, items: Sequence[bytes], emit: Callable[[int, bool, bytes], None]) -> None:
        """Run a packed function on packed items; ``emit(index, whether it worked, packed result or error)`` as each ends, the first error last.

        Raises:
            ray.exceptions.RayError: a worker process died, again and again.
        """
        shared, places, waiting = ray.put(function), self._places(), list(enumerate(items))[::-1]
        running: dict[Any, tuple[int, Any]] = {}
        try:
            while waiting or running:
                while waiting and places:
                    index, item = waiting.pop()
                    place = places.pop()
                    running[place.remote(shared, item)] = (index, place)
                done, _ = ray.wait(list(running))
                index, place = running.pop(done[0])
                places.append(place)
                fine, outcome = ray.get(done[0])
                emit(index, fine, outcome)
                if not fine:
                    return
        finally:
            for reference in running:
                ray.cancel(reference)

    def release(self) -> None:
        """Give back what `run` holds between calls: GPUs."""
        for actor in self._actors:
            ray.kill(actor)
        self._actors = []

    def _places(self) -> list[Any]:
        if not self._use_gpu:
            return [self._task] * self.workers
        if not self._actors:
            kind = ray.remote(num_gpus=1, max_restarts=-1, max_task_retries=2, label_selector=self._labels)(_GpuWorker)
            self._actors = [kind.remote() for _ in range(self.workers)]
        return [actor.perform for actor in self._actors]


def _warm(order: tuple[tuple[str, ...], float]) -> None:
    """Import, and stay until the given time (seconds since 1970), at most for the hold."""
    names, until = order
    import_early(names)
    time.sleep(min(max(until - time.time(), 0.0), _HOLD))
