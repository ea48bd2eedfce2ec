"""Looks at a workspace for alerts: the index gives what the rules are held against."""

from __future__ import annotations

from pathlib import Path

from loopwright.alerts.rules import LOOKED_AT, Seen
from loopwright.clock import now
from loopwright.consent import waiting
from loopwright.errors import LoopwrightError
from loopwright.index import Index
from loopwright.plan import Plan

__all__ = ["look", "seen_by"]


def look(root: Path, plan: Plan, *, inspect: bool) -> Seen:
    """What stands on the record now.

    Args:
        root: The workspace.
        plan: As it is on disk.
        inspect: Verify the record as well: seconds for a hundred thousand entries.

    Raises:
        LoopwrightError: the record cannot be read at all.
    """
    findings = _findings(root) if inspect else None
    with Index.open(root) as index:
        return seen_by(index, root, plan, findings)


def seen_by(index: Index, root: Path, plan: Plan, findings: int | None) -> Seen:
    """The same from an index that is open."""
    state, moment = index.near(), now("seconds")
    return Seen(
        acts=state.acts,
        waiting=waiting(root, plan, state, moment),
        rows=index.latest(LOOKED_AT),
        used=index.used,
        budgets=plan.budgets,
        now=moment,
        findings=findings,
    )


def _findings(root: Path) -> int:
    from loopwright.ledger.inspection import inspect_record  # late: the audit's imports

    try:
        return len(inspect_record(root).findings)
    except LoopwrightError:
        return 1
