"""The seam behind which model-written code runs: text and data go in, data comes out, nothing is trusted.

A `Sandbox` executes a candidate in a process of its own and returns what came out. Expected values never enter it;
`judge` compares outside. Issue of strength: the level that was really applied is part of every outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from loopwright.types import Check, Level, Progress, Status, Verdict

__all__ = ["AssertJob", "Job", "Limits", "Outcome", "Sandbox", "judge", "same"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One candidate and the inputs to call it with."""

    source: str
    """Model-written source text: hostile until proven otherwise, and then still hostile."""
    entry: str
    """Name of the one-argument function that the source defines."""
    inputs: tuple[Any, ...]
    """Plain JSON values; each is one call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertJob:
    """One candidate and a test script that calls it and ends without an exception where all is right (HumanEval style)."""

    source: str
    entry: str
    """Name of the function that the source defines, and that the script calls (as that, or as ``candidate``)."""
    script: str
    """Python with assertions. It runs in another process than the candidate, which never sees its text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one candidate may use, over all its inputs together."""

    wall_seconds: float = 2.0
    cpu_seconds: int = 2
    memory_bytes: int = 512 * 2**20
    output_bytes: int = 256 * 2**10


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came out of the candidate's process."""

    status: Status
    """PASS here only means: it ran to the end and answered within the protocol."""
    outputs: tuple[Any, ...]
    """One per input, exact JSON types; empty unless the status is PASS."""
    level: Level
    detail: str = ""
    """Diagnostics for a person; never parsed."""
    seconds: float = field(default=0.0, compare=False)
    """By the clock, from fork to end. No part of what came out: it's another each time."""


class Sandbox(Protocol):
    """Runs candidates, each in a process of its own."""

    @property
    def level(self) -> Level:
        """Isolation that was probed at start and is applied to every job."""
        ...

    def run(self, jobs: Sequence[Job], progress: Progress | None = None) -> list[Outcome]:
        """Outcomes in the order of the jobs. An infrastructure failure is retried twice, then INFRA."""
        ...

    def run_asserts(self, jobs: Sequence[AssertJob], progress: Progress | None = None) -> list[Verdict]:
        """Verdicts in the order of the jobs, each from a script's process; candidate and script exchange plain data alone."""
        ...

    def close(self) -> None:
        """End all processes."""
        ...


def same(seen: Any, expected: Any) -> bool:
    """Equality that a candidate cannot talk its way into: exact types all the way down (``True`` is not ``1``)."""
    if type(seen) is not type(expected):
        return False
    if isinstance(expected, (list, tuple)):
        return len(seen) == len(expected) and all(map(same, seen, expected))
    if isinstance(expected, dict):
        return seen.keys() == expected.keys() and all(same(seen[key], expected[key]) for key in expected)
    return bool(seen == expected)


def judge(outcome: Outcome, checks: Sequence[tuple[str, Check]]) -> Verdict:
    """Compare what came out with what was expected, check by check, in the order in which the inputs were given."""
    if outcome.status != "PASS":
        return Verdict(status=outcome.status, level=outcome.level, reason=outcome.detail, seconds=outcome.seconds)
    seen = iter(outcome.outputs)
    for purpose, check in checks:
        for index, expected in enumerate(check.outputs):
            if not same(next(seen), expected):
                return Verdict(status="FAIL", level=outcome.level, reason=f"{purpose} check {index}", seconds=outcome.seconds)
    return Verdict(status="PASS", level=outcome.level, seconds=outcome.seconds)
