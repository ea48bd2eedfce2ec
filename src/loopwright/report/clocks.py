"""The clocks of incidents: when which report is due, by the rows of `reports/law.yaml`, from the times that persons told.

Every number of days is data. What is worked out here is a date and what is left of it at a moment that is given: never by the
machine's clock, since a document says the same whenever it is built.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from loopwright.errors import UsageError
from loopwright.ledger.incidents import Incident
from loopwright.report.law import Clock, Law

__all__ = ["Due", "due_dates", "harms", "incident_row", "length", "read_clocks"]

_MOMENTS = ("started_at", "aware_at", "first_aware_at", "causal_link_at", "resolved_at", "last_report_at")
_FLAGS = ("imminent_danger", "internal_use")


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One clock as it runs for one incident."""

    clock: Clock
    state: Literal["running", "met", "waiting"]
    """``waiting``: the moment that it runs from has not been told."""
    chosen: bool
    """False where nobody has chosen the class of harm yet: the clock of each class is shown then."""
    due_at: str | None = None
    met_at: str | None = None
    """When the report was sent."""
    met_leaf: int | None = None

    def left(self, at: str) -> int | None:
        """Seconds from ``at`` (of a report that was sent: from its sending) to the due time, negative when over; None without one."""
        return None if self.due_at is None else round((_time(self.due_at) - _time(self.met_at or at)).total_seconds())


def read_clocks(law: Law) -> tuple[Clock, ...]:
    """The rows for incidents; UsageError where one counts from, or waits for, something that no incident tells."""
    rows = tuple(one for one in law.clocks if one.incident)
    for one in rows:
        odd = [word for word in (one.start, one.until) if word not in {None, *_MOMENTS}]
        odd += [one.when] if one.when not in {None, *_FLAGS} else []
        if odd or one.report is None or not length(one):
            problem = f"clock {one.id} of reports/law.yaml cannot run: {', '.join(map(str, odd)) or 'no report or no length'}"
            raise UsageError(problem, f"moments: {', '.join(_MOMENTS)}; flags: {', '.join(_FLAGS)}")
    return rows


def length(clock: Clock) -> timedelta:
    """From the moment to the due time: hours, days and weeks (incidents have no other)."""
    return timedelta(hours=clock.hours, days=clock.days, weeks=clock.weeks)


def harms(clocks: Iterable[Clock], kind: str) -> list[str]:
    """The classes of harm that clocks of this kind of incident know, in the order of the rows."""
    return list(dict.fromkeys(harm for one in clocks if one.incident == kind for harm in one.harm))


def due_dates(incident: Incident, clocks: Sequence[Clock]) -> list[Due]:
    """Every clock that runs, ran or waits for this incident, in the order of the rows. A near miss has none."""
    if incident.facts.get("near_miss"):
        return []
    return [_due(incident, clock) for clock in clocks if _concerns(clock, incident.facts)]


def incident_row(incident: Incident, due: Iterable[Due], at: str) -> dict[str, Any]:
    """An incident and its clocks as plain values, with the seconds that are left at this moment."""
    return {
        "id": incident.id,
        "facts": dict(incident.facts),
        "leaves": list(incident.leaves),
        "keys": list(incident.keys),
        "reports": [dict(one) for one in incident.reports],
        "closed_at": incident.closed_at,
        "at": at,
        "clocks": [
            {
                **one.clock.model_dump(include={"id", "field", "ref", "harm", "report"}, mode="json"),
                "under": _under(one.clock),
                "from": one.clock.start,
                "state": one.state,
                "chosen": one.chosen,
                "due_at": one.due_at,
                "met_at": one.met_at,
                "met_leaf": one.met_leaf,
                "left_s": one.left(at),
            }
            for one in due
        ],
    }


def _under(clock: Clock) -> str:
    """Whose report: one that was sent under another regime does not meet it."""
    return clock.under or "eu"


def _concerns(clock: Clock, facts: Mapping[str, Any]) -> bool:
    harm = facts.get("harm")
    return (
        clock.incident == facts["kind"]
        and (not clock.harm or harm is None or harm in clock.harm)
        and (clock.when is None or bool(facts.get(clock.when)))
    )


def _due(incident: Incident, clock: Clock) -> Due:
    chosen = not clock.harm or incident.facts.get("harm") is not None
    sent = [one for one in incident.reports if one.get("under", "eu") == _under(clock)]
    base = _moment(incident, sent, clock.start)
    due_at = None if base is None else _text(_time(base) + length(clock))
    met = _met(clock, sent)
    if clock.until and (over := _moment(incident, sent, clock.until) or incident.closed_at):
        return Due(clock=clock, state="met", chosen=chosen, met_at=over)
    if met:
        return Due(clock=clock, state="met", chosen=chosen, due_at=due_at, met_at=met["sent_at"], met_leaf=met["leaf"])
    return Due(clock=clock, state="running" if due_at else "waiting", chosen=chosen, due_at=due_at)


def _met(clock: Clock, sent: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The report that meets it: the first one of any form an initial one, no single one a clock that runs again and again."""
    forms = {"initial": ("initial", "intermediate", "final"), "final": ("final",)}.get(clock.report or "", ())
    return next((one for one in sent if one["form"] in forms), None)


def _moment(incident: Incident, sent: Sequence[Mapping[str, Any]], name: str) -> str | None:
    if name == "last_report_at":
        return max((one["sent_at"] for one in sent), default=None)
    if name == "first_aware_at":
        told = [incident.facts.get(word) for word in ("aware_at", "deployer_aware_at")]
        return min(filter(None, told), default=None)
    return incident.facts.get(name)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
