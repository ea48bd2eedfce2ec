"""Incidents and near misses as the record tells them: each put together from the entries that persons signed about it.

A fold that believes and judges nothing. No clock of a law is known here: those are data (`reports/law.yaml`), applied by
`loopwright.report.clocks` to the times that stand here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from loopwright.ledger.statement import Statement

__all__ = ["Incident", "incidents"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One incident as it stands after the entries that tell of it."""

    id: str
    """``inc-`` and eight hex digits."""
    facts: Mapping[str, Any]
    """What was last told, by name: ``kind``, ``aware_at``, ``harm`` and so on (docs/ledger-format.md §2)."""
    leaves: tuple[int, ...]
    """The entries, in order."""
    keys: tuple[str, ...]
    """Who signed each of them."""
    told: tuple[tuple[str, str], ...]
    """(act, time) of each of them."""
    reports: tuple[Mapping[str, Any], ...] = ()
    """What was sent to authorities: ``form``, ``sent_at``, ``recipient``, ``receipt``, with the entry as ``leaf``."""
    closed_at: str | None = None
    """When it was told to be over; None while it is open."""

    @property
    def kind(self) -> str:
        """``gpai`` (a serious incident of a general-purpose model) or ``art73`` (of a high-risk system)."""
        return self.facts["kind"]

    def after(self, statement: Statement) -> Incident:
        """The incident one entry later."""
        said = statement.predicate
        told = dict(said["facts"])
        sent = told.pop("report", None)
        return replace(
            self,
            facts={**self.facts, **told},
            leaves=(*self.leaves, statement.index),
            keys=(*self.keys, statement.keyid),
            told=(*self.told, (said["act"], said["told_at"])),
            closed_at=said["told_at"] if said["act"] == "close" else self.closed_at,
            reports=(*self.reports, {**sent, "leaf": statement.index}) if sent else self.reports,
        )


def incidents(statements: Iterable[Statement]) -> dict[str, Incident]:
    """Every incident by its id, in the order in which they were opened; entries of other kinds are passed over."""
    found: dict[str, Incident] = {}
    for statement in statements:
        if statement.kind == "incident":
            name = statement.predicate["incident"]
            before = found.get(name) or Incident(id=name, facts={}, leaves=(), keys=(), told=())
            found[name] = before.after(statement)
    return found
