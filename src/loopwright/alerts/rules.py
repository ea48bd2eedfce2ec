"""Which alerts stand: a pure function of what the record says and of the plan's rules.

An alert has no free text in it: neither a model's nor a person's words leave the machine by it. What it is about is a name of the record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from loopwright.budgets import Used, lines
from loopwright.consent import Waiting
from loopwright.ledger.acts import Acts
from loopwright.policy import Alerts, Budgets

__all__ = ["LOOKED_AT", "Alert", "Level", "Seen", "alerts_of", "worst_first"]

Level = Literal["critical", "warning"]
LOOKED_AT = 50
"""Cycles that are looked at, the newest ones; drift over more of them is told as of so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One thing that stands."""

    rule: str
    """``halted frozen failed light waiting drift budget integrity``."""
    level: Level
    about: str
    """Tells it apart from others of its rule: an entry, a request, a figure, a budget."""
    since: str
    """RFC 3339, as the record tells; empty where it does not."""
    told: Mapping[str, Any] = field(default_factory=dict)
    """Names and numbers for its sentence."""

    @property
    def id(self) -> str:
        """The same for the same thing, however often it is looked at."""
        return f"{self.rule}:{self.about}"

    @property
    def text(self) -> str:
        """The sentence, in English."""
        return _SENTENCES[self.rule].format(**self.told)


_SENTENCES: Mapping[str, str] = {
    "halted": "The loop is halted (entry {entry}).",
    "frozen": "Admission is frozen (entry {entry}).",
    "failed": "The {phase} phase of {cycle} failed at attempt {attempt}.",
    "light": "The figure {figure} of {cycle} is at stop.",
    "waiting": "A request ({action}) has waited for persons for {hours:.1f} hours; it expires at {expires}.",
    "drift": "The figure {figure} has been at warning for {cycles} cycles in a row, up to {cycle}.",
    "budget": "{share:.0%} of the budget {name} is used ({used:.4g} of {limit:.4g}; {method}).",
    "integrity": "The record is not what was signed: {findings} findings.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was looked at."""

    acts: Acts
    rows: Sequence[Mapping[str, Any]]
    """`loopwright.ledger.overview.cycle_row` of the last cycles, oldest first."""
    used: Used
    budgets: Budgets
    waiting: Sequence[Waiting] = ()
    """`loopwright.consent.waiting`."""
    now: str
    """RFC 3339."""
    findings: int | None = None
    """Of an inspection of the record; None where it was not inspected now."""


def alerts_of(seen: Seen, rules: Alerts) -> tuple[Alert, ...]:
    """Everything that stands, critical ones first."""
    found = [*_integrity(seen, rules), *_stop(seen, rules), *_waiting(seen, rules), *_budget(seen, rules), *_drift(seen, rules)]
    return worst_first(found)


def worst_first(alerts: Sequence[Alert]) -> tuple[Alert, ...]:
    """Critical ones first, else in the order given."""
    return tuple(sorted(alerts, key=lambda one: one.level != "critical"))


def _integrity(seen: Seen, rules: Alerts) -> Iterator[Alert]:
    if rules.integrity and seen.findings:
        yield Alert(rule="integrity", level="critical", about="record", since="", told={"findings": seen.findings})


def _stop(seen: Seen, rules: Alerts) -> Iterator[Alert]:
    if not rules.stop:
        return
    for rule, standing in (("halted", seen.acts.halts), ("frozen", seen.acts.freezes)):
        for one in standing:
            since = str(one.predicate.get(f"{rule}_at", ""))
            yield Alert(rule=rule, level="critical", about=str(one.index), since=since, told={"entry": one.index})
    for row in seen.rows[-1:]:
        yield from _last(row)


def _last(row: Mapping[str, Any]) -> Iterator[Alert]:
    """Of the newest cycle: a phase that failed and was not done since, lights at stop."""
    cycle = row["cycle"]
    for one in [one for one in row.get("failures", ()) if one["phase"] not in row["seconds"]][-1:]:
        told = {"phase": one["phase"], "cycle": cycle, "attempt": one["attempt"]}
        yield Alert(rule="failed", level="critical", about=f"{cycle}/{one['phase']}", since=row["opened_at"] or "", told=told)
    for figure, state in row["lights"].items():
        if state == "stop":
            told = {"figure": figure, "cycle": cycle}
            yield Alert(rule="light", level="critical", about=f"{cycle}/{figure}", since=row["closed_at"] or "", told=told)


def _waiting(seen: Seen, rules: Alerts) -> Iterator[Alert]:
    if rules.waiting_hours is None:
        return
    now = datetime.fromisoformat(seen.now)
    for one in (found.request for found in seen.waiting if found.standing.status == "open"):  # a granted one waits for a run
        said = one.said
        hours = (now - datetime.fromisoformat(said["requested_at"])).total_seconds() / 3600
        if hours >= rules.waiting_hours:
            told = {"action": one.action, "hours": hours, "expires": said["expires_at"]}
            yield Alert(rule="waiting", level="warning", about=one.id, since=said["requested_at"], told=told)


def _budget(seen: Seen, rules: Alerts) -> Iterator[Alert]:
    if rules.budget is None:
        return
    for line in lines(seen.budgets, seen.used):
        if line.limit and line.used >= rules.budget * line.limit:
            level: Level = "critical" if line.used >= line.limit else "warning"
            told = {
                "name": line.name,
                "share": line.used / line.limit,
                "used": line.used,
                "limit": line.limit,
                "method": line.method,
            }
            yield Alert(rule="budget", level=level, about=f"{line.name}/{level}", since="", told=told)


def _drift(seen: Seen, rules: Alerts) -> Iterator[Alert]:
    """A light that warned in each of the last cycles that have lights."""
    lit = [row for row in seen.rows if row["lights"]]
    if rules.drift_cycles is None or not lit:
        return
    for figure in lit[-1]["lights"]:
        run = 0
        for row in reversed(lit):
            if row["lights"].get(figure) not in {"warn", "stop"}:
                break
            run += 1
        if run >= rules.drift_cycles:
            told = {"figure": figure, "cycles": run, "cycle": lit[-1]["cycle"]}
            yield Alert(rule="drift", level="warning", about=figure, since=lit[-run]["closed_at"] or "", told=told)
