"""The collapse card under the policy: which figures are fine, which are warned of, and which stop the loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from loopwright.gate.rule import Ruling

if TYPE_CHECKING:
    from loopwright.policy import Card, Light

__all__ = ["Lamp", "State", "lamps", "under_lamps"]

State = Literal["fine", "warn", "stop", "not measured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lamp:
    """One figure under its rule."""

    name: str
    state: State
    sentence: str
    """For a manager; empty where it is fine or was not measured."""


def lamps(policy: Card, figures: Mapping[str, Mapping[str, Any] | None]) -> tuple[Lamp, ...]:
    """A lamp for each rule of the card, in the policy's order; a figure without a rule has none and can clear nothing."""
    rules = {name: getattr(policy, name) for name in type(policy).model_fields if name != "unsafe_only_say"}
    return tuple(_lamp(name, rule, figures.get(name)) for name, rule in rules.items())


def _lamp(name: str, rule: Light, figure: Mapping[str, Any] | None) -> Lamp:
    if figure is None:
        return Lamp(name=name, state="not measured", sentence="")
    sign = 1 if rule.bad == "above" else -1
    value, mildest = figure["value"], figure["low"] if rule.bad == "above" else figure["high"]
    if rule.stop is not None and sign * mildest > sign * rule.stop:
        return Lamp(name=name, state="stop", sentence=_sentence(name, rule.bad, rule.stop, figure, "stops the loop"))
    if rule.warn is not None and sign * value > sign * rule.warn:
        return Lamp(name=name, state="warn", sentence=_sentence(name, rule.bad, rule.warn, figure, "is warned of"))
    return Lamp(name=name, state="fine", sentence="")


def _sentence(name: str, side: str, limit: float, figure: Mapping[str, Any], what: str) -> str:
    interval = f"{figure['low']:.3f} to {figure['high']:.3f}"
    return f"{name.replace('_', ' ')} {figure['value']:.3f} ({interval}, n = {figure['n']}); {side} {limit:g} {what}"


def under_lamps(ruling: Ruling, found: Sequence[Lamp], *, only_say: bool = False) -> Ruling:
    """The ruling with what the lamps say: a stop turns every answer into a halt, a warning is a reason more."""
    stops = tuple(lamp.sentence for lamp in found if lamp.state == "stop")
    warnings = tuple(lamp.sentence for lamp in found if lamp.state == "warn")
    if not stops or only_say:
        return replace(ruling, reasons=(*ruling.reasons, *stops, *warnings))
    return replace(
        ruling, action="halt", reasons=(*stops, *ruling.reasons, *warnings), history=ruling.unpromoted or ruling.history
    )
