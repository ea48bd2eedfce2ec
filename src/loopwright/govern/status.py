"""Where a loop stands for those who answer for it: the overview, what waits for whom, what stands, is used up, and was seen in the field."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from loopwright.attempt import frozen
from loopwright.budgets import lines, used_by
from loopwright.clock import now
from loopwright.errors import PlanError
from loopwright.govern.outstanding import recalls_in_force, requests_open, stops, witnesses_of
from loopwright.ledger.field import field_rows
from loopwright.ledger.fold import LoopState, fold
from loopwright.ledger.overview import overview
from loopwright.ledger.statement import Statement
from loopwright.plan import Plan
from loopwright.signed import signed_envelope
from loopwright.store.pushing import standing as pushes
from loopwright.supervisor import standing
from loopwright.workspace import Workspace

__all__ = ["status_of"]


@contextmanager
def _unswept() -> Iterator[None]:
    """Nothing of a record that is being read is garbage, and looking through a long one for some takes a fifth of the time."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


@_unswept()
def status_of(workspace: Workspace) -> dict[str, Any]:
    """`loopwright.ledger.overview.overview` and what else stands. Plain JSON.

    What the plan says (budgets, who has to sign) is missing where it cannot be read, and ``plan_error`` says why.
    """
    ledger = workspace.ledger()
    try:
        statements = list(ledger.statements())
        state = fold(statements)
        try:
            plan = workspace.plan()
        except PlanError as error:
            told: dict[str, Any] = {"plan_error": str(error), "budgets": [], "requests": [], "witnesses": None, "pushing": None}
        else:
            told = {"plan_error": None, "requests": requests_open(workspace.root, plan, state, now())}
            told |= _by_the_plan(workspace, plan, state, statements)
    finally:
        ledger.close()
    halted = standing(state.acts)
    return {
        **overview(state),
        "halted": {"message": halted.message, "next_step": halted.next_step} if halted else None,
        "frozen": bool(state.acts.freezes),
        "halts": stops(workspace.root, state, "halts"),
        "freezes": stops(workspace.root, state, "freezes"),
        "recalls": recalls_in_force(workspace.root, state),
        "admission_frozen": frozen(state),
        "envelope": signed_envelope(state),
        "field": field_rows(state),
        "push": pushes(workspace.root),
        **told,
    }


def _by_the_plan(workspace: Workspace, plan: Plan, state: LoopState, statements: list[Statement]) -> dict[str, Any]:
    return {
        "budgets": [asdict(line) for line in lines(plan.budgets, used_by(statements))],
        "witnesses": witnesses_of(workspace.root, plan, state),
        "pushing": plan.versioning.push,
    }
