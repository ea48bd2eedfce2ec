"""Group commit: what several threads append at the same time goes to the disk in one transaction.

A durable transaction waits for the disk, whatever is in it, so a group costs what one entry costs. Writers in different
processes take turns, a transaction each; who has many entries at hand puts them into one batch (`Ledger.append_many`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from loopwright.errors import LoopwrightError

__all__ = ["GroupCommit"]

Entries = Sequence[tuple[str, bytes]]


@dataclass(eq=False, slots=True)
class _Batch:
    entries: Entries
    places: list[int] | None = None
    error: LoopwrightError | None = field(default=None)


class GroupCommit:
    """Batches in, the index of each entry out, once it is durable."""

    def __init__(self, write: Callable[[Entries], list[int]]) -> None:
        """``write`` adds entries in one transaction, or raises and adds none."""
        self._write = write
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._waiting: list[_Batch] = []

    def add(self, entries: Entries) -> list[int]:
        """Wait for the turn; whoever has it writes for all that wait. What ``write`` raises, each of them is told."""
        batch = _Batch(entries)
        with self._lock:
            self._waiting.append(batch)
        with self._turn:
            if batch.places is None and batch.error is None:
                self._lead()
        if batch.error is not None:
            raise batch.error
        return batch.places or []

    def _lead(self) -> None:
        with self._lock:
            group, self._waiting = self._waiting, []
        try:
            places = iter(self._write([entry for batch in group for entry in batch.entries]))
        except LoopwrightError as error:
            for batch in group:
                batch.error = error
        except BaseException:  # this thread was interrupted; the others write for themselves
            with self._lock:
                self._waiting = [*group, *self._waiting]
            raise
        else:
            for batch in group:
                batch.places = [next(places) for _ in batch.entries]
