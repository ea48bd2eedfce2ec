"""Where training jobs wait for the training group, and their results for the driver: the state of one Ray actor.

One `TorchTrainer.fit` serves many jobs (`loopwright.runtime.ray_train`), so a job does not come with the fit but through
here. Nobody polls: whoever asks for what is not there yet waits on a condition. The mailbox outlives the workers, so it is
also what counts how often a job has lost them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from loopwright.errors import InfraError
from loopwright.runtime.jobs import pack

__all__ = ["Mailbox", "State"]

_STILLBORN = 4
"""Training groups in a row that died before one asked for work: then nothing is gained by starting a fifth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the driver's side sees of the current job."""

    version: int
    """Grows with every change."""
    step: tuple[int, int] | None
    """Steps done and steps in all, once a rank has reported."""
    outcome: bytes | None
    """The packed result or error; None while the job runs."""


class Mailbox:
    """One job at a time: handed in, taken by rank 0 (again after a crash), settled once."""

    def __init__(self, attempts: int) -> None:
        self._attempts = attempts
        self._changed = asyncio.Condition()
        self._number = 0
        self._job: tuple[bytes, bytes] | None = None
        self._state = State(version=0, step=None, outcome=None)
        self._taken = 0
        self._taker: object = None
        self._starts = 0
        self._complaint, self._last_words = "its process ended", ""
        self._broken = ""
        self._stopped = False

    async def submit(self, function: bytes, job: bytes) -> None:
        """Hand in a job: a packed `TrainFunction` and its packed argument."""
        self._number += 1
        self._job, self._taken = (function, job), 0
        await self._change(step=None, outcome=None)
        if self._broken:
            await self.broken(self._broken)

    async def take(self) -> int | None:
        """Rank 0 waits for an unsettled job; its number, or None when the group shall end.

        The newest call alone counts: an older one is that of a rank that died while it waited.
        """
        mine = self._taker = object()
        self._starts = 0
        await self._notify()
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._stopped or self._taker is not mine or self._waiting())
            if self._stopped or self._taker is not mine:
                return None
            self._taken += 1
            if self._taken <= self._attempts:
                return self._number
            await self._give_up(self._number)

    async def job(self) -> tuple[bytes, bytes] | None:
        """The job that rank 0 took."""
        return self._job

    async def progress(self, number: int, done: int, total: int) -> None:
        """Rank 0 says how far job ``number`` is."""
        if number == self._number and self._waiting():
            await self._change(step=(done, total), outcome=None)

    async def complain(self, number: int, text: str) -> None:
        """A rank says why it is about to leave its group; with the last attempt that is the outcome."""
        self._complaint, self._last_words = text, ""  # an earlier loss's words do not belong to it
        if self._taken >= self._attempts:
            await self._give_up(number)

    async def lost(self, text: str, last_words: str) -> None:
        """What Ray knows of a rank that is gone, and what that wrote last to its log."""
        self._complaint, self._last_words = text, last_words

    async def settle(self, number: int, outcome: bytes) -> None:
        """The first outcome of job ``number`` counts."""
        if number == self._number and self._waiting():
            await self._change(step=self._state.step, outcome=outcome)

    async def watch(self, version: int) -> State:
        """Wait until the state differs from the one of that version."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._state.version != version)
        return self._state

    async def started(self) -> None:
        """A group came up, and has not asked for work yet."""
        self._starts += 1
        if self._starts > _STILLBORN:
            await self.broken(f"the training group died {_STILLBORN} times while it started; the last time: {self._complaint}")

    async def broken(self, reason: str) -> None:
        """There is no group and will be none: settle what waits, and what is still to come."""
        self._broken = reason
        await self.settle(
            self._number, pack(InfraError(reason, "see the logs named above or `loopwright doctor`, then run again"))
        )
        await self.stop()

    async def ready(self) -> None:
        """Wait until a group asks for work for the first time, or there will be none."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._stopped or self._taker is not None)

    async def stop(self) -> None:
        """Let the group end when it next asks for work."""
        self._stopped = True
        await self._notify()

    def _waiting(self) -> bool:
        return self._job is not None and self._state.outcome is None

    async def _give_up(self, number: int) -> None:
        message = f"training failed {self._attempts} times in a row; the last time: {self._complaint}"
        error = InfraError(message, "free memory or mend the cause, then run again")
        if self._last_words:
            error = InfraError(message, f"see what it wrote last with --debug; {error.next_step}")
            error.add_note(self._last_words)
        await self.settle(number, pack(error))

    async def _change(self, step: tuple[int, int] | None, outcome: bytes | None) -> None:
        self._state = State(version=self._state.version + 1, step=step, outcome=outcome)
        await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
