"""What the loop has used up, as a pure fold over the record, held against the plan's budgets.

Nothing is kept beside the record, so a restart forgets nothing: what was used before it counts. FLOP go by 6·P·tokens
for training and 2·P·tokens for sampling (Kaplan et al., arXiv 2001.08361), prompts included where a phase counts them; energy
is what a phase's environment says was measured (``energy_kwh``), else the plan's watts times its wall time, else what a model
of the host makes of it (``energy``), and then it is called estimated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from loopwright.ledger.acts import Acts
from loopwright.ledger.statement import Statement
from loopwright.policy import Budgets
from loopwright.types import Digest, digest_value

__all__ = ["Line", "Used", "agreed", "budgets_digest", "exhausted", "lines", "passed", "used_by"]

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
    guessed: float = 0.0
    """kWh of those phases by a model of the host, where there is one."""
    parameters: int = 0
    """Of the model that was trained last."""
    paid: float = 0.0
    """To models elsewhere."""
    currencies: tuple[str, ...] = ()
    """In which it was paid, sorted."""

    @classmethod
    def told(cls, plain: Mapping[str, Any]) -> Used:
        """From the plain JSON that it was kept as."""
        known: dict[str, Any] = {**plain, "currencies": tuple(plain.get("currencies", ()))}
        return cls(**known)

    def after(self, statement: Statement) -> Used:
        """One entry later; other kinds change nothing."""
        said = statement.predicate
        match statement.kind:
            case "phase":
                return self._phase(said)
            case "failure":
                seconds = _between(said["started_at"], said["failed_at"])
                return _drawn(replace(self._paying(said), seconds=self.seconds + seconds), said, seconds)
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
        return replace(self, paid=self.paid + sum(money.values()), currencies=tuple(sorted({*self.currencies, *money})))

    def _phase(self, said: Any) -> Used:
        summary, seconds = said["summary"], float(said["seconds"])
        parameters, each = int(summary.get("parameters", self.parameters)), 6.0 if said["phase"] == "train" else 2.0
        told = replace(
            self._paying(summary),
            seconds=self.seconds + seconds,
            flop=self.flop + each * parameters * passed(summary),
            parameters=parameters,
        )
        return _drawn(told, said["environment"], seconds)


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
    if used.kwh or used.guessed or watts is not None:
        energy = used.kwh + (used.guessed if watts is None else used.unmeasured * watts / _JOULES)
        guess = "codecarbon's model of the host" if watts is None else f"{watts:g} W x wall time"
        method = "measured" if not used.unmeasured else f"estimated: {guess} where it is not measured"
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


def _drawn(used: Used, told: Any, seconds: float) -> Used:
    """With the energy of these seconds. ``told``: where ``energy_kwh`` is what was measured, and ``energy`` may hold an estimate."""
    if (measured := told.get("energy_kwh")) is not None:
        return replace(used, kwh=used.kwh + float(measured))
    guessed = float(told.get("energy", {}).get("kwh", 0.0))
    return replace(used, unmeasured=used.unmeasured + seconds, guessed=used.guessed + guessed)


def passed(summary: Any) -> float:
    """All that went through the model, where the summary tells it; else the tokens that were learnt or written."""
    if "external" in summary:  # on another's machines
        return 0.0
    told = summary.get("compute", {})
    if "updates" in told:
        return float(sum(update["tokens"] for update in told["updates"]))
    return float(summary.get("tokens", 0)) + float(told.get("prompt_tokens") or 0)


def _between(start: str, end: str) -> float:
    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())
