"""What the loop has used up, as a pure fold over the record, held against the plan's budgets.

Nothing is kept beside the record, so a restart forgets nothing: what was used before it counts. FLOP go by 6·P·tokens
for training and 2·P·tokens for sampling (Kaplan et al., arXiv 2001.08361); energy is what a phase's environment says was
measured (``energy_kwh``), else the plan's watts times its wall time, and then it is called estimated.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from loopwright.ledger.acts import Acts
from loopwright.ledger.statement import Statement
from loopwright.policy import Budgets
from loopwright.types import Digest, digest_value

__all__ = ["Line", "Used", "agreed", "budgets_digest", "exhausted", "lines", "used_by"]

_HOUR = 3600.0
_JOULES = 3.6e6
"""Of a kilowatt hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """Sums over a record; only what this workspace did itself counts, not the past that a fork brought along."""

    cycles: int = 0
    """Closed ones, the seed model's apart; an abandoned one counts."""
    seconds: float = 0.0
    """Wall time of phases, failed and stopped attempts among them."""
    flop: float = 0.0
    kwh: float = 0.0
    """Measured."""
    unmeasured: float = 0.0
    """Seconds of phases whose energy was not measured."""
    parameters: int = 0
    """Of the model that was trained last."""
    paid: float = 0.0
    """To models elsewhere."""
    currencies: frozenset[str] = frozenset()
    """In which it was paid."""

    def after(self, statement: Statement) -> Used:
        """One entry later; other kinds change nothing."""
        said = statement.predicate
        match statement.kind:
            case "phase":
                return self._phase(said)
            case "failure":
                seconds = _between(said["started_at"], said["failed_at"])
                return self._paying(said).running(seconds)
            case "close" if said["cycle"] != "c0000":
                return replace(self, cycles=self.cycles + 1)
            case "import":
                told = [phase["summary"].get("parameters", 0) for cycle in said["cycles"] for phase in cycle["phases"]]
                return replace(self, parameters=max([self.parameters, *told]))
        return self

    def running(self, seconds: float) -> Used:
        """With an attempt that ran for so long, on the record or not yet."""
        return replace(self, seconds=self.seconds + seconds, unmeasured=self.unmeasured + seconds)

    def _paying(self, said: Any) -> Used:
        money = said.get("cost", {}).get("money", {})
        return replace(self, paid=self.paid + sum(money.values()), currencies=self.currencies | set(money))

    def _phase(self, said: Any) -> Used:
        summary, seconds = said["summary"], float(said["seconds"])
        parameters, each = int(summary.get("parameters", self.parameters)), 6.0 if said["phase"] == "train" else 2.0
        measured = said["environment"].get("energy_kwh")
        tokens = 0.0 if "external" in summary else float(summary.get("tokens", 0))  # those cost another's machines
        return replace(
            self._paying(summary),
            seconds=self.seconds + seconds,
            flop=self.flop + each * parameters * tokens,
            kwh=self.kwh + float(measured or 0.0),
            unmeasured=self.unmeasured + (seconds if measured is None else 0.0),
            parameters=parameters,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One budget: what was used of it, and how that is known."""

    name: str
    used: float
    limit: float | None
    unit: str
    method: str


def used_by(statements: Iterable[Statement]) -> Used:
    """The sums over these entries, given from the first one."""
    used = Used()
    for statement in statements:
        used = used.after(statement)
    return used


def lines(budgets: Budgets, used: Used) -> tuple[Line, ...]:
    """Every budget with what was used, limited or not; energy and money are left out where nothing says what they are."""
    hours, watts, rate = used.seconds / _HOUR, budgets.watts, budgets.money_per_hour
    found = [
        Line(name="cycles", used=used.cycles, limit=budgets.cycles, unit="", method="counted: cycles closed"),
        Line(name="wall_hours", used=hours, limit=budgets.wall_hours, unit="h", method="measured: wall time of phases"),
        Line(
            name="flop", used=used.flop, limit=budgets.flop, unit="FLOP", method="estimated: 6·P·trained + 2·P·sampled tokens"
        ),
    ]
    if used.kwh or watts is not None:
        energy = used.kwh + used.unmeasured * (watts or 0.0) / _JOULES
        method = "measured" if not used.unmeasured else f"estimated: {watts or 0:g} W x wall time where it is not measured"
        found.append(Line(name="energy_kwh", used=energy, limit=budgets.energy_kwh, unit="kWh", method=method))
    if rate is not None or used.currencies or budgets.money is not None:
        found.append(_money(budgets, used, hours))
    return tuple(found)


def _money(budgets: Budgets, used: Used, hours: float) -> Line:
    """Machines by the hour, models elsewhere by the token. Of several currencies the amounts are added as they stand."""
    rate = budgets.money_per_hour
    parts = [f"estimated: {rate:g} an hour x wall time"] if rate is not None else []
    parts += ["counted: tokens x the plan's prices"] if used.currencies else []
    unit = "+".join(sorted(used.currencies))
    return Line(
        name="money",
        used=hours * (rate or 0.0) + used.paid,
        limit=budgets.money,
        unit=unit,
        method="; ".join(parts) or "nothing has a price",
    )


def exhausted(budgets: Budgets, used: Used, *, between: bool) -> Line | None:
    """The first budget of which nothing is left. ``between``: whether cycles count, of which the last may be finished."""
    for line in lines(budgets, used):
        if line.limit is not None and line.used >= line.limit and (between or line.name != "cycles"):
            return line
    return None


def budgets_digest(budgets: Budgets) -> Digest:
    """Identity of what was allowed: what a person signs who lets a loop go on after a budget ended it."""
    return digest_value(budgets.model_dump(mode="json"))


def agreed(acts: Acts, budgets: Budgets) -> bool:
    """After a halt the budgets are those that persons signed when they last let the loop go on; before one, the plan's."""
    done = [request for request in acts.requests.values() if request.action == "resume" and request.executed is not None]
    last = max(done, key=lambda request: request.executed or 0, default=None)
    signed = last.said["details"].get("budgets") if last is not None else None
    return signed is None or signed == budgets_digest(budgets)


def _between(start: str, end: str) -> float:
    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())
