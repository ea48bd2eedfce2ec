"""An audit of answers that passed: they run on inputs that no check has, past the domain's own judge.

Whoever let an answer in may have a hole; the same hole in the suites' judge would even raise the score. Here the program
runs in the sandbox as it is, and what comes out is compared with the reference's outputs on inputs drawn for this cycle.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

from loopwright.errors import InfraError
from loopwright.plugins import MakesFresh, PhaseContext, offered
from loopwright.sandbox import Job, judge
from loopwright.types import Task, seed_of

__all__ = ["audit", "drawn"]

Item = TypeVar("Item")


def audit(pairs: Sequence[tuple[Task, str]], seed: int, context: PhaseContext) -> list[bool]:
    """Which of the answers are right on fresh inputs, in order.

    Empty where the domain cannot make fresh inputs (`loopwright.plugins.MakesFresh`).

    Raises:
        InfraError: a program could not be run.
    """
    domain = offered(context.domain, MakesFresh)
    if domain is None or not pairs:
        return []
    checks = [domain.fresh(task, seed_of("examine", seed, task.id)) for task, _ in pairs]
    jobs = [
        Job(source=domain.program(answer), entry=domain.entry, inputs=check.inputs)
        for (_, answer), check in zip(pairs, checks, strict=True)
    ]
    outcomes = context.sandbox.run(jobs, context.progress)
    verdicts = [judge(outcome, [("fresh", check)]) for outcome, check in zip(outcomes, checks, strict=True)]
    if any(verdict.status == "INFRA" for verdict in verdicts):
        raise InfraError("a program could not be audited", "`loopwright doctor`; `loopwright run` tries again")
    return [verdict.passed for verdict in verdicts]


def drawn(rows: Sequence[Item], most: int, seed: int) -> list[Item]:
    """So many of them, by the seed; all where there are no more."""
    rng = Random(seed)
    return sorted(rows, key=lambda _: rng.random())[:most]
