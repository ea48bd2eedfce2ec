"""The stress suite: what a model answers to tasks that are unlike all that it was trained on. Reported apart, steers nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from loopwright.errors import InfraError
from loopwright.intervals import wilson
from loopwright.plugins import PhaseContext, Stressed, offered
from loopwright.types import Task

__all__ = ["answerable", "pressed", "stress_suite"]

Suite = Mapping[str, Sequence[Task]]


def stress_suite(context: PhaseContext) -> Suite:
    """The domain's tasks by kind; empty where it has none."""
    domain = offered(context.domain, Stressed)
    return domain.stress() if domain else {}


def answerable(suite: Suite) -> list[Task]:
    """Those with a right answer, in the order in which `pressed` wants the answers."""
    return [task for tasks in suite.values() for task in tasks if task.checks]


def pressed(suite: Suite, texts: Sequence[str], context: PhaseContext) -> tuple[dict[str, Any], Counter[str]]:
    """By kind the share that was solved, and of malformed tasks the share that the domain refuses to take for tasks.

    Also returns how many answers ran at which isolation level.
    """
    said, found, isolation = iter(texts), dict[str, Any](), Counter[str]()
    for kind, tasks in suite.items():
        asked = [(task, next(said)) for task in tasks if task.checks]
        verdicts = context.domain.judge(asked, ("stress",), context.sandbox) if asked else []
        if any(verdict.status == "INFRA" for verdict in verdicts):
            raise InfraError(f"answers to {kind} tasks could not be judged", "`loopwright doctor`, then `loopwright run`")
        isolation.update(verdict.level for verdict in verdicts)
        shares = {kind: [verdict.passed for verdict in verdicts]} if asked else {f"{kind} refused": _refused(tasks, context)}
        found |= {name: asdict(score) for name, passed in shares.items() if (score := wilson(passed))}
    return found, isolation


def _refused(tasks: Sequence[Task], context: PhaseContext) -> list[bool]:
    return [_is_refused(task.prompt, context) for task in tasks]


def _is_refused(prompt: str, context: PhaseContext) -> bool:
    try:
        context.domain.task(prompt)
    except ValueError:
        return True
    return False
