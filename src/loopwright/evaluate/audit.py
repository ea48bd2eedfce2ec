"""Programs run past the domain's own judge: an audit of answers that passed, on inputs that no check has; and what answers do.

Whoever let an answer in may have a hole; the same hole in the suites' judge would even raise the score. Here the program
runs in the sandbox as it is, and what comes out is compared with the reference's outputs on inputs drawn for this cycle.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import TypeVar

from loopwright.errors import InfraError
from loopwright.plugins import MakesFresh, PhaseContext, Probed, offered
from loopwright.sandbox import Job, Outcome, judge
from loopwright.types import Task, seed_of

__all__ = ["audit", "behaviours", "drawn"]

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


def behaviours(texts: Sequence[str], context: PhaseContext) -> list[str]:
    """What each program does with the domain's probes; where answers are no programs, the answers themselves.

    A program that fails behaves like every other that fails in that way.

    Raises:
        InfraError: a program could not be run.
    """
    domain = offered(context.domain, Probed)
    if domain is None:
        return list(texts)
    jobs = [Job(source=domain.program(text), entry=domain.entry, inputs=tuple(domain.probes)) for text in texts]
    outcomes = context.sandbox.run(jobs)
    if lost := [outcome for outcome in outcomes if outcome.status == "INFRA"]:
        raise InfraError(f"{len(lost)} programs could not be run ({lost[0].detail[:200]})", "`loopwright doctor`")
    return [_done(outcome) for outcome in outcomes]


def _done(outcome: Outcome) -> str:
    """What a program did, as text: its integers may be larger than canonical JSON has them."""
    return json.dumps(outcome.outputs, sort_keys=True) if outcome.status == "PASS" else outcome.status
