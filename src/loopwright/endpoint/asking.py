"""Many questions to one endpoint: bounded in number at once, in number a minute, in money; asked again where that may help.

Threads ask, since they only wait; they are daemons, so that a halt ends the process whatever a server does. The main thread
only waits for what they bring, which a signal can interrupt.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loopwright.endpoint.cache import Answer, Cache, Question
from loopwright.endpoint.client import Client, Passing
from loopwright.endpoint.secret import read_key
from loopwright.endpoint.spending import Spending
from loopwright.errors import InfraError, LoopwrightError, PhaseError
from loopwright.external import Endpoint
from loopwright.types import Digest, Progress

__all__ = ["Desk", "answers"]

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 60.0
"""Seconds before the first and before a late retry; each is drawn between its half and itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where a phase asks from."""

    root: Path
    """The workspace, which keeps the answers."""
    scratch: Path
    """The phase's own, which keeps what was spent."""
    offline: bool = False
    """Nothing is asked: what is not kept cannot be had."""


def answers(endpoint: Endpoint, questions: Sequence[Question], desk: Desk, progress: Progress | None = None) -> list[Answer]:
    """An answer a question, in order; equal questions are asked once, and what was answered before not at all.

    Raises:
        InfraError: the endpoint did not answer, however often it was asked; or it's not to be asked.
        IntegrityError: another model answered.
        PhaseError: it refuses, or ``max_money`` is spent.
        PlanError: there is no key where the plan says.
    """
    cache = Cache(desk.root, endpoint)
    keys = [cache.key(question) for question in questions]
    found = {key: kept for key in dict.fromkeys(keys) if (kept := cache.get(key)) is not None}
    missing = {key: question for key, question in zip(keys, questions, strict=True) if key not in found}
    if found and not desk.offline:
        Spending(desk.scratch, None).count(cached=sum(key in found for key in keys))
    if missing:
        if desk.offline:
            raise InfraError(
                f"{len(missing)} of {len(questions)} answers of {endpoint.model} are not kept here, and a replay asks nobody",
                "what a model elsewhere answered is in the recorded outputs: `dvc checkout` brings them back",
            )
        found |= _ask(endpoint, missing, desk, cache, progress)
    return [found[key] for key in keys]


def _ask(
    endpoint: Endpoint, missing: dict[Digest, Question], desk: Desk, cache: Cache, progress: Progress | None
) -> dict[Digest, Answer]:
    key = read_key(endpoint.key_file, desk.root) if endpoint.key_file else None
    client = Client(endpoint, key)
    asker = _Asker(endpoint, client, cache, Spending(desk.scratch, endpoint.price), missing)
    asker.begin(min(endpoint.concurrency, len(missing)))
    found: dict[Digest, Answer] = {}
    try:
        while len(found) < len(missing):
            digest, answer = asker.done.get()
            if isinstance(answer, Exception):
                raise answer
            found[digest] = answer
            if progress:
                progress(len(found), len(missing), "answers")
    finally:
        asker.stop.set()
    return found


class _Asker:
    """What the threads of one call share."""

    def __init__(
        self, endpoint: Endpoint, client: Client, cache: Cache, spending: Spending, missing: dict[Digest, Question]
    ) -> None:
        self._endpoint, self._client, self._cache, self._spending = endpoint, client, cache, spending
        self._pace = _Pace(endpoint.requests_per_minute)
        self._todo: queue.SimpleQueue[tuple[Digest, Question]] = queue.SimpleQueue()
        for item in missing.items():
            self._todo.put(item)
        self.done: queue.SimpleQueue[tuple[Digest, Answer | Exception]] = queue.SimpleQueue()
        self.stop = threading.Event()
        self._lock, self._working = threading.Lock(), 0

    def begin(self, threads: int) -> None:
        """Let so many ask."""
        self._working = threads
        for number in range(threads):
            threading.Thread(target=self._work, name=f"endpoint-{number}", daemon=True).start()

    def _work(self) -> None:
        """A thread's whole life. The last one closes: a connection that another is just opening would be left open."""
        try:
            self._ask_on()
        finally:
            with self._lock:
                self._working -= 1
                last = not self._working
            if last:
                self._client.close()

    def _ask_on(self) -> None:
        """Until nothing is left, or something went wrong for good."""
        while not self.stop.is_set():
            try:
                digest, question = self._todo.get_nowait()
            except queue.Empty:
                return
            try:
                answer: Answer | Exception = self._answered(digest, question)
            except Exception as error:  # noqa: BLE001  # it is raised where the phase waits
                answer = error
                self.stop.set()  # before another question is paid for
            self.done.put((digest, answer))

    def _answered(self, digest: Digest, question: Question) -> Answer:
        last = "it was stopped"
        for tries in range(self._endpoint.retries + 1):
            if self.stop.wait(self._pace.turn()):
                break
            self._affordable()
            try:
                answer = self._client.ask(question)
            except Passing as passing:
                last = str(passing)
                again = {"retries": 1} if tries < self._endpoint.retries else {}
                self._spending.count(requests=1, **again)
                self._pace.hold(passing.wait)
                if again and self.stop.wait(_backoff(tries)):
                    break
                continue
            except LoopwrightError:
                self._spending.count(requests=1)
                raise
            self._spending.paid(answer.tokens_in, answer.tokens_out)
            self._cache.put(digest, answer)
            return answer
        raise InfraError(
            f"{self._endpoint.url} gave no answer in {self._endpoint.retries + 1} tries: {last}",
            "`loopwright run` asks for what is missing when it's there again; nothing is paid for twice",
        )

    def _affordable(self) -> None:
        most = self._endpoint.max_money
        if most is not None and self._spending.money >= most:
            raise PhaseError(
                f"{self._spending.money:g} are spent of the {most:g} that one attempt may cost ({self._endpoint.model})",
                "raise `max_money` of the endpoint, or ask for less; what was answered is kept",
            )


class _Pace:
    """Turns at even distances; everybody waits where a server asks one to."""

    def __init__(self, per_minute: float | None) -> None:
        self._distance = 60.0 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def turn(self) -> float:
        """Seconds until the caller may ask."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + self._distance if self._distance else self._next
            return start - now

    def hold(self, seconds: float) -> None:
        """Nobody asks before so long from now."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


def _backoff(tries: int) -> float:
    return min(_LONGEST_WAIT, _FIRST_WAIT * 2**tries) * random.uniform(0.5, 1.0)  # spreads, hides nothing
