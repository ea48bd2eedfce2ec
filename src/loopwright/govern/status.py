"""Where a loop stands for those who answer for it: the overview, and what is halted, used up, signed and seen in the field."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from loopwright.attempt import frozen
from loopwright.budgets import lines, used_by
from loopwright.errors import PlanError
from loopwright.ledger.field import field_rows
from loopwright.ledger.fold import fold
from loopwright.ledger.overview import overview
from loopwright.signed import signed_envelope
from loopwright.supervisor import standing
from loopwright.workspace import Workspace

__all__ = ["status_of"]


def status_of(workspace: Workspace) -> dict[str, Any]:
    """`loopwright.ledger.overview.overview` and what else stands. Plain JSON; a plan that cannot be read has no budgets."""
    ledger = workspace.ledger()
    try:
        statements = list(ledger.statements())
    finally:
        ledger.close()
    state = fold(statements)
    try:
        budgets = [asdict(line) for line in lines(workspace.plan().budgets, used_by(statements))]
    except PlanError:
        budgets = []
    halted = standing(state.acts)
    return {
        **overview(state),
        "halted": {"message": halted.message, "next_step": halted.next_step} if halted else None,
        "frozen": bool(state.acts.freezes),
        "admission_frozen": frozen(state),
        "envelope": signed_envelope(state),
        "budgets": budgets,
        "field": field_rows(state),
    }
