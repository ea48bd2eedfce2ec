"""A sandbox on many machines: orders of jobs go to hosts that hold zygotes of their own, and what came out comes back.

Nothing else moves: expected values stay with the driver, which compares, and a candidate runs in the same jail as it would
there. So verdicts don't depend on where it ran, nor on how many hosts there are.
"""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, Protocol, TypeVar

from loopwright.errors import InfraError, PlanError
from loopwright.sandbox import AssertJob, Job, Limits, Outcome, Sandbox
from loopwright.sandbox.pool import open_sandbox
from loopwright.sandbox.probe import reaches
from loopwright.types import Level, Progress, Verdict

__all__ = ["Order", "Send", "SpreadSandbox", "carry_out", "strongest"]

_LEAST: Level = "SL2"
"""What a host must at least apply: on a cluster's node a candidate with less could ask the cluster for work of its own."""
_MOST, _FEWEST, _ORDERS = 512, 16, 64
"""Jobs an order: a second or two of work, fewer where there are few, so that all hosts have some."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Send(Protocol):
    """Runs a function on items at hosts; `loopwright.runtime.Executor.map` does."""

    def __call__(
        self, function: Callable[[Item], Result], items: Sequence[Item], *, each: Callable[[int, Result], None] | None = None
    ) -> list[Result]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Jobs of one kind for one host."""

    level: Level
    limits: Limits
    jobs: tuple[Job, ...] | tuple[AssertJob, ...]


class SpreadSandbox:
    """See `loopwright.sandbox.Sandbox`. A host that dies is the sender's business: the order goes to another."""

    def __init__(self, minimum: Level, limits: Limits, send: Send) -> None:
        """Start nothing.

        Raises:
            PlanError: ``minimum`` is less than a cluster's nodes need.
        """
        if not reaches(minimum, _LEAST):
            raise PlanError(
                f"verifier.minimum_level: saw {minimum}; allowed with verify_labels: {_LEAST} or more",
                "raise it in loop.yaml, or take verify_labels out of the profile: then the driver's own sandbox judges",
            )
        self._minimum = minimum
        self._limits = limits
        self._send = send

    @cached_property
    def level(self) -> Level:
        """The most that the first host asked gives; every other is held to it."""
        return self._send(strongest, [(self._minimum, self._limits)])[0]

    def run(self, jobs: Sequence[Job], progress: Progress | None = None) -> list[Outcome]:
        """Outcomes in the order of the jobs.

        Raises:
            InfraError: a host can't apply the level, or none answers.
        """
        return self._spread(jobs, progress)

    def run_asserts(self, jobs: Sequence[AssertJob], progress: Progress | None = None) -> list[Verdict]:
        """Verdicts in the order of the jobs; their scripts are seen by the hosts, and there by no candidate."""
        return self._spread(jobs, progress)

    def close(self) -> None:
        """Hosts end with their workers, which are the sender's."""

    def _spread(self, jobs: Sequence[Any], progress: Progress | None) -> list[Any]:
        size = min(_MOST, max(_FEWEST, len(jobs) // _ORDERS))
        starts = range(0, len(jobs), size)
        orders = [Order(level=self.level, limits=self._limits, jobs=tuple(jobs[start : start + size])) for start in starts]
        done = 0

        def came(_: int, outcomes: Sequence[Any]) -> None:
            nonlocal done
            done += len(outcomes)
            if progress:
                progress(done, len(jobs), "answers")

        return list(chain.from_iterable(self._send(carry_out, orders, each=came)))


def strongest(asked: tuple[Level, Limits]) -> Level:
    """The level that this host reaches."""
    minimum, limits = asked
    with open_sandbox(minimum, 1, limits) as sandbox:
        return sandbox.level


def carry_out(order: Order) -> list[Any]:
    """Outcomes of an order's jobs (verdicts of test scripts), by this host's own sandbox."""
    sandbox = _HERE.sandbox(order.level, order.limits)
    if isinstance(order.jobs[0], AssertJob):
        return sandbox.run_asserts(order.jobs)  # type: ignore[arg-type]
    return sandbox.run(order.jobs)  # type: ignore[arg-type]


class _Here(threading.local):
    """The sandbox of this worker: one zygote, kept for the next order. By thread, since zygotes end with the one that made them."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._kept: tuple[Level, Limits, Sandbox] | None = None

    def sandbox(self, level: Level, limits: Limits) -> Sandbox:
        if self._kept is None or self._kept[:2] != (level, limits):
            self._open.close()
            self._kept = None
            try:
                opened = self._open.enter_context(open_sandbox(level, 1, limits, level=level))
            except InfraError as error:
                raise InfraError(
                    f"{platform.node()} can't hold candidates as the other hosts do: {error.message}",
                    "`loopwright doctor` there says what it lacks; verify_labels in the profile names the hosts",
                ) from error
            self._kept = (level, limits, opened)
        return self._kept[2]


_HERE = _Here()
