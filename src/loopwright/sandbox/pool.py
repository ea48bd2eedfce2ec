"""The supervisor: zygotes kept busy, answers collected, and no job lost when a zygote is.

It runs in the driver. Candidates are children of the zygotes; what they may see is their own source and inputs, what
they may say is an answer that is read strictly (`wire`) and compared elsewhere (`judge`). A few jobs are always in
flight on each zygote, each on a socket of its own, so that no zygote waits for this process.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from loopwright.errors import InfraError
from loopwright.sandbox import AssertJob, Job, Limits, Outcome, Sandbox
from loopwright.sandbox.asserts import AssertPool
from loopwright.sandbox.measure import measured
from loopwright.sandbox.probe import lowest, reaches
from loopwright.sandbox.wire import SOURCE_BYTES, outcome_of
from loopwright.sandbox.worker import Flight, Lost, Worker
from loopwright.types import Level, Progress, Verdict

__all__ = ["open_sandbox"]

_IN_FLIGHT = 4
"""Jobs handed to one zygote ahead of time."""
_ATTEMPTS = 3
"""A job whose zygote fails under it is tried so often; then it is INFRA."""
_TICK_SECONDS = 1.0
"""How often a hung zygote is looked for."""
_APPLIED: tuple[Level, ...] = ("SL3", "SL2", "SL1")
"""What this version can apply, the strongest first."""


@contextmanager
def open_sandbox(
    minimum: Level, workers: int | Literal["auto"] = 1, limits: Limits = Limits(), *, level: Level | None = None
) -> Iterator[Sandbox]:
    """A sandbox of ``workers`` zygotes for the length of a ``with`` block, isolating at least as well as ``minimum``.

    ``auto``: one more than the processors that this process may use, so that none idles while a zygote waits for its next job.

    It applies the most that this machine gives, or just ``level`` where one is named. What is reached is measured and
    stands in every outcome; a zygote that is started later must reach it, too.
    Zygotes end with the thread that opened it (Linux delivers a parent's death by thread): open it in the thread that
    stays.

    Raises:
        InfraError: it cannot start, or what is applied to candidates is less than ``minimum``; says what is missing.
        ValueError: ``workers`` is not positive.
    """
    if sys.platform != "linux":
        raise InfraError(f"the sandbox needs Linux, this is {sys.platform}", "run on Linux, or in a Linux container")
    if workers == "auto":
        workers = len(os.sched_getaffinity(0)) + 1
    if workers < 1:
        raise ValueError(f"a sandbox needs at least one worker, not {workers}")
    pool = _open_at(level, minimum, workers, limits) if level else _strongest(minimum, workers, limits)
    try:
        yield pool
    finally:
        pool.close()


def _strongest(minimum: Level, workers: int, limits: Limits) -> _Pool:
    """The strongest that starts; where none that is enough does, what the last one said."""
    wanted = [level for level in _APPLIED if reaches(level, minimum)] or [_APPLIED[0]]
    for level in wanted[:-1]:
        try:
            return _open_at(level, level, workers, limits)
        except InfraError:
            continue
    return _open_at(wanted[-1], minimum, workers, limits)


def _open_at(level: Level, minimum: Level, workers: int, limits: Limits) -> _Pool:
    pool = _Pool(level, minimum, workers, limits)
    try:
        pool.start()
    except BaseException:
        pool.close()
        raise
    return pool


class _Batch:
    """The jobs of one `run`: which wait, which are done."""

    def __init__(self, jobs: Sequence[Job], progress: Progress | None) -> None:
        self._jobs = jobs
        self._waiting = deque((index, 1) for index in range(len(jobs)))
        self._progress = progress
        self._outcomes: dict[int, Outcome] = {}

    @property
    def open(self) -> bool:
        return len(self._outcomes) < len(self._jobs)

    @property
    def waits(self) -> bool:
        return bool(self._waiting)

    def next(self) -> tuple[int, Job, int] | None:
        """Place, job and attempt of the next job to launch."""
        if not self._waiting:
            return None
        index, attempt = self._waiting.popleft()
        return index, self._jobs[index], attempt

    def again(self, flights: Sequence[tuple[int, int]]) -> None:
        """Put jobs back, in order, before all others: (place, attempt)."""
        self._waiting.extendleft(reversed(flights))

    def end(self, index: int, outcome: Outcome) -> None:
        self._outcomes[index] = outcome
        if self._progress:
            self._progress(len(self._outcomes), len(self._jobs), "answers")

    def outcomes(self) -> list[Outcome]:
        """One per job, in order."""
        return [self._outcomes[index] for index in range(len(self._jobs))]


class _Pool:
    """The built-in `Sandbox`."""

    def __init__(self, applied: Level, minimum: Level, workers: int, limits: Limits) -> None:
        self._applied = applied
        self._floor = minimum
        self._count = workers
        self._limits = limits
        self._workers: list[Worker] = []
        self._asserts: AssertPool | None = None
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()

    @property
    def level(self) -> Level:
        return self._floor

    @property
    def zygotes(self) -> tuple[int, ...]:
        """Process ids of the zygotes."""
        return tuple(worker.pid for worker in self._workers)

    def start(self) -> None:
        """Start the zygotes, measure what candidates get, and hold every later zygote to that."""
        for _ in range(self._count):
            self._workers.append(Worker(self._limits, self._applied))
        self._floor = lowest([self._checked(worker) for worker in self._workers])

    def run(self, jobs: Sequence[Job], progress: Progress | None = None) -> list[Outcome]:
        """Outcomes in the order of the jobs; one run at a time."""
        with self._lock:
            batch = _Batch(jobs, progress)
            try:
                if not self._workers:
                    self.start()
                while batch.open:
                    self._turn(batch)
            except BaseException:
                self._stop()  # what is in flight belongs to nobody; the next run starts afresh
                raise
            return batch.outcomes()

    def run_asserts(self, jobs: Sequence[AssertJob], progress: Progress | None = None) -> list[Verdict]:
        """Verdicts of test scripts; their pairs of zygotes are started with the first of them and kept."""
        with self._lock:
            if self._asserts is None:
                self._asserts = AssertPool(self._applied, self._floor, self._count, self._limits)
            return self._asserts.run(jobs, progress)

    def close(self) -> None:
        self._stop()
        if self._asserts is not None:
            self._asserts.close()
        self._selector.close()

    def _stop(self) -> None:
        while self._workers:
            self._end(self._workers.pop())

    def _end(self, worker: Worker) -> None:
        for flight in worker.flights:
            self._ignore(flight)
        with contextlib.suppress(KeyError, ValueError):  # one that never served, or has ended, is not listened to
            self._selector.unregister(worker.control)
        worker.end()

    def _checked(self, worker: Worker) -> Level:
        """Wait for a zygote, measure its isolation and listen to it; InfraError where that is below the floor."""
        level = measured(worker, self._floor, self._limits)
        self._selector.register(worker.control, selectors.EVENT_READ, (worker, None))
        return level

    def _turn(self, batch: _Batch) -> None:
        """Give work to whoever has none, then wait for something to happen and act on it."""
        for worker in tuple(self._workers):
            if batch.waits and not worker.flights:
                self._collect(worker, batch)
        events = self._selector.select(_TICK_SECONDS) if batch.open else []
        for key, mask in events:
            worker, flight = key.data
            if flight is not None:
                self._carry(flight, mask)
            elif worker in self._workers:
                self._collect(worker, batch)
        if not events:  # a zygote may hang
            for worker in tuple(self._workers):
                self._collect(worker, batch)

    def _carry(self, flight: Flight, mask: int) -> None:
        """Move bytes of a job that did not fit at once."""
        if flight.listened and mask & selectors.EVENT_WRITE and flight.send():
            self._selector.modify(flight.channel, selectors.EVENT_READ, (None, flight))
        if flight.listened and mask & selectors.EVENT_READ and not flight.receive(self._limits):
            self._ignore(flight)

    def _collect(self, worker: Worker, batch: _Batch) -> None:
        """Take what the zygote reports and give it new jobs; replace it where it is lost."""
        try:
            while (report := worker.report()) is not None:
                if report["how"] == "fork":
                    raise Lost
                flight = worker.flights[0]
                batch.end(flight.index, self._landed(worker, flight, report))
            self._fill(worker, batch)
        except Lost:
            self._replace(worker, batch)

    def _landed(self, worker: Worker, flight: Flight, report: Mapping[str, Any]) -> Outcome:
        flight.receive(self._limits)
        worker.flights.popleft()
        self._ignore(flight)
        flight.channel.close()
        return outcome_of(report, bytes(flight.received), flight.job, self._limits, self._floor)

    def _fill(self, worker: Worker, batch: _Batch) -> None:
        while len(worker.flights) < _IN_FLIGHT and (waiting := batch.next()):
            index, job, attempt = waiting
            if len(job.source) > SOURCE_BYTES:
                batch.end(index, Outcome(status="LOAD_ERROR", outputs=(), level=self._floor, detail="too long"))
                continue
            flight = worker.launch(index, job, attempt)
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if flight.unsent else 0)
            self._selector.register(flight.channel, events, (None, flight))
            flight.listened = True

    def _replace(self, worker: Worker, batch: _Batch) -> None:
        """A fresh zygote for a lost one; its jobs go back, and only the one that was running has used an attempt."""
        lost = [(flight.index, flight.attempt) for flight in worker.flights]
        if lost and lost[0][1] < _ATTEMPTS:
            lost[0] = (lost[0][0], lost[0][1] + 1)
        elif lost:
            index, _ = lost.pop(0)
            batch.end(index, Outcome(status="INFRA", outputs=(), level=self._floor, detail="zygote lost"))
        batch.again(lost)
        self._end(worker)
        fresh = Worker(self._limits, self._applied)
        self._workers[self._workers.index(worker)] = fresh
        self._checked(fresh)

    def _ignore(self, flight: Flight) -> None:
        if flight.listened:
            self._selector.unregister(flight.channel)
            flight.listened = False
