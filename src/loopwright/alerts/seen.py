"""Looks at a workspace for alerts: the index gives what the rules are held against."""

from __future__ import annotations

from pathlib import Path

from loopwright.alerts.rules import LOOKED_AT, Seen
from loopwright.clock import now
from loopwright.errors import LoopwrightError
from loopwright.index import Index
from loopwright.policy import Budgets

__all__ = ["look", "seen_by"]


def look(root: Path, budgets: Budgets, *, inspect: bool) -> Seen:
    """What stands on the record now.

    Args:
        root: The workspace.
        budgets: The plan's.
        inspect: Verify the record as well: seconds for a hundred thousand entries.

    Raises:
        LoopwrightError: the record cannot be read at all.
    """
    findings = _findings(root) if inspect else None
    with Index.open(root) as index:
        return seen_by(index, budgets, findings)


def seen_by(index: Index, budgets: Budgets, findings: int | None) -> Seen:
    """The same from an index that is open."""
    return Seen(
        acts=index.state().acts,
        rows=index.latest(LOOKED_AT),
        used=index.used,
        budgets=budgets,
        now=now("seconds"),
        findings=findings,
    )


def _findings(root: Path) -> int:
    from loopwright.ledger.inspection import inspect_record  # late: the audit's imports

    try:
        return len(inspect_record(root).findings)
    except LoopwrightError:
        return 1
