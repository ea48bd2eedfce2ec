"""Test scripts whose subject runs elsewhere: two confined processes, and this one between them.

The candidate's process has its source and the arguments of calls, the script's process has the script and the values that came
back. Each message is read strictly and written anew here (`codec`), so neither can reach the other by anything but data, and the
verdict comes from a process in which no object of the candidate ever was.
"""

from __future__ import annotations

import contextlib
import select
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from loopwright.sandbox import AssertJob, Job, Limits
from loopwright.sandbox.codec import decode, encode
from loopwright.sandbox.measure import measured
from loopwright.sandbox.probe import lowest
from loopwright.sandbox.wire import ENVELOPE_BYTES, SOURCE_BYTES, answer_of, cut_short, framed, framed_text, take_frame
from loopwright.sandbox.worker import Flight, Lost, Worker
from loopwright.types import Level, Progress, Status, Verdict

__all__ = ["AssertPool"]

_ATTEMPTS = 3
_TICK_SECONDS = 0.5
_Ended = tuple[Status, str]


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """One of the two processes of a job."""

    worker: Worker
    flight: Flight

    def take(self, limits: Limits) -> bool:
        """Receive what is there; False once nothing more will come."""
        return self.flight.receive(limits)

    def send(self, text: str) -> None:
        """Hand over a message; a process that has gone will be reported."""
        self.flight.channel.setblocking(True)
        with contextlib.suppress(OSError):
            self.flight.channel.sendall(framed_text(text))
        self.flight.channel.setblocking(False)


class AssertPool:
    """Pairs of zygotes, one for candidates and one for scripts. Made and closed by the thread that opened the sandbox."""

    def __init__(self, applied: Level, floor: Level, pairs: int, limits: Limits) -> None:
        self._applied, self._floor, self._limits = applied, floor, limits
        self._pairs: list[tuple[Worker, Worker]] = []
        self._count = pairs

    def run(self, jobs: Sequence[AssertJob], progress: Progress | None) -> list[Verdict]:
        """Verdicts in order; a job whose zygote is lost is tried three times, then it is INFRA."""
        done: dict[int, Verdict] = {}
        tries, waiting = [0] * len(jobs), list(range(len(jobs)))
        while waiting:
            self._fill()
            lost, waiting = self._round(waiting, jobs, done, progress)
            for index in lost:
                tries[index] += 1
                if tries[index] < _ATTEMPTS:
                    waiting.append(index)
                else:
                    done[index] = Verdict(status="INFRA", level=self._floor, reason="zygote lost")
        return [done[index] for index in range(len(jobs))]

    def close(self) -> None:
        """End all zygotes."""
        while self._pairs:
            for worker in self._pairs.pop():
                worker.end()

    def _fill(self) -> None:
        """Start what is missing, in this thread, and hold it to the floor."""
        while len(self._pairs) < self._count:
            pair = (Worker(self._limits, self._applied), Worker(self._limits, self._applied))
            self._pairs.append(pair)
            self._floor = lowest([self._floor, *(measured(worker, self._floor, self._limits) for worker in pair)])

    def _round(
        self, indexes: Sequence[int], jobs: Sequence[AssertJob], done: dict[int, Verdict], progress: Progress | None
    ) -> tuple[list[int], list[int]]:
        """Each job once, on whichever pair is free; those under which a pair was lost (it's dropped), and those without any."""
        waiting, lock, lost = iter(indexes), threading.Lock(), list[int]()

        def work(pair: tuple[Worker, Worker]) -> tuple[Worker, Worker] | None:
            for index in _shared(waiting, lock):
                try:
                    verdict = _judge(pair, jobs[index], self._limits, self._floor)
                except Lost:
                    with lock:
                        lost.append(index)
                    return None
                with lock:
                    done[index] = verdict
                    if progress:
                        progress(len(done), len(jobs), "verdicts")
            return pair

        with ThreadPoolExecutor(len(self._pairs)) as threads:
            kept = list(threads.map(work, self._pairs))
        for pair, whole in zip(self._pairs, kept, strict=True):
            if whole is None:
                for worker in pair:
                    worker.end()
        self._pairs = [pair for pair in kept if pair is not None]
        return lost, list(waiting)


def _shared(waiting: Iterator[int], lock: threading.Lock) -> Iterator[int]:
    """The same iterator for several threads."""
    while True:
        with lock:
            index = next(waiting, None)
        if index is None:
            return
        yield index


def _judge(pair: tuple[Worker, Worker], job: AssertJob, limits: Limits, level: Level) -> Verdict:
    """One job on one pair; both zygotes are idle again afterwards. Raises Lost where one of them is not there any more."""
    if max(len(job.source), len(job.script)) > SOURCE_BYTES:
        return Verdict(status="LOAD_ERROR", level=level, reason="too long")
    served = {"source": job.source, "entry": job.entry, "role": "served"}
    tester = {"source": job.script, "entry": job.entry, "role": "tester"}
    named = Job(source=job.source, entry=job.entry, inputs=())
    began = time.monotonic()
    sides = tuple(
        _Side(worker, worker.launch(0, named, 1, framed(first))) for worker, first in zip(pair, (served, tester), strict=True)
    )
    try:
        status, reason = _relay(sides[0], sides[1], limits)
    finally:
        for side in sides:
            side.flight.channel.close()
            if side.worker.flights:
                side.worker.awaited()
                side.worker.flights.popleft()
    return Verdict(status=status, level=level, reason=reason, seconds=time.monotonic() - began)


def _relay(served: _Side, tester: _Side, limits: Limits) -> _Ended:
    """Carry calls one way and values the other until one of the two has ended."""
    while True:
        waiting = [side.flight for side in (served, tester) if side.flight.unsent]
        watched: list[Any] = [served.flight.channel, tester.flight.channel, served.worker.control, tester.worker.control]
        select.select(watched, [flight.channel for flight in waiting], [], _TICK_SECONDS)
        for flight in waiting:
            flight.send()
        ended = _step(served, tester, limits)
        if ended is not None:
            return ended


def _step(served: _Side, tester: _Side, limits: Limits) -> _Ended | None:
    """Move what has arrived; how the job ended, once that is known."""
    reports = {side: _report(side) for side in (tester, served)}
    for side, other in ((tester, served), (served, tester)):
        side.take(limits)
        if len(side.flight.received) > limits.output_bytes + ENVELOPE_BYTES:
            return "OUTPUT_LIMIT", ""
        ended = _carry(side, other)
        if ended is not None:  # a script may say that all was right, a candidate may not
            return ("BAD_OUTPUT", "") if side is served and ended[0] == "PASS" else ended
    for report in filter(None, reports.values()):
        return cut_short(report, limits) or ("BAD_OUTPUT", "no answer")
    return None


def _carry(side: _Side, other: _Side) -> _Ended | None:
    """Pass on every whole message of one side; its last word, where that is among them."""
    while (content := take_frame(side.flight.received)) is not None:
        answer = answer_of(content)
        if answer is not None:
            return answer[0], answer[2]
        if not _forward(content, other):
            return "BAD_OUTPUT", "a message that is no data"
    return None


def _report(side: _Side) -> Mapping[str, Any] | None:
    """How the side's process ended, if it has."""
    report = side.worker.report() if side.worker.flights else None
    if report is not None:
        side.worker.flights.popleft()
        if report["how"] == "fork":
            raise Lost
    return report


def _forward(content: bytes, to: _Side) -> bool:
    """Pass a message on, written anew; False where it is not plain data of the right form."""
    try:
        message = decode(content.decode())
        if type(message) is not tuple or len(message) != 2:
            return False
        to.send(encode(message))
    except (ValueError, TypeError):
        return False
    return True
