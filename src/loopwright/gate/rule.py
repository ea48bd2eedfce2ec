"""The rule of promotion: a significant paired gain within the loop's error budget, and nothing that a guard objects to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from loopwright.gate.guards import field as in_the_field
from loopwright.gate.guards import jump, luck, peak, wear, worst_slice
from loopwright.gate.paired import Paired, gain_score, p_value, pair_up
from loopwright.gate.spending import History, spend
from loopwright.types import Action, Score

if TYPE_CHECKING:
    import polars as pl

    from loopwright.sections import DecideSection

__all__ = ["Ruling", "decide_promotion", "first_champion", "nothing_accepted"]

_SMALL = 1e-6
"""A smaller p-value is not written out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What the gate answered and every number behind it; None where nothing was tested."""

    action: Action
    reasons: tuple[str, ...]
    """Sentences for a manager, with their numbers."""
    history: History
    """The error budget after this decision."""
    unpromoted: History | None = None
    """The same, should something else than this rule keep the challenger from promotion."""
    gain: Score | None = None
    """Paired difference on all gate tasks."""
    retention: Score | None = None
    """Paired difference on the levels below the headline; None where the suite has none."""
    p_value: float | None = None
    alpha: float | None = None
    """Level of this look: what the p-value had to stay below."""


def decide_promotion(
    policy: DecideSection,
    gate_table: pl.DataFrame,
    history: History,
    seeds: Mapping[str, Sequence[float] | None] | None = None,
) -> Ruling:
    """Promote the challenger, or say why not.

    Args:
        policy: Error rate of the loop, least gain, largest drops, largest believable gain, first and last headline level.
        gate_table: One row a gate task: ``task``, ``level``, ``passed`` (challenger), ``champion`` (its result), and
            ``slices`` (JSON text) where the domain names slices.
        history: Looks and error spent by the decisions before.
        seeds: Gate scores by training seed (see `guards.luck`).

    The null hypothesis is that the challenger solves no more of such tasks than the champion. A champion that got its
    place by a lucky draw of gate tasks keeps that luck in the comparison, which makes a wrong promotion rarer, not
    more frequent. Promoted is what was tested now, against the best so far; not the latest.

    Raises:
        IntegrityError: a task twice, or a result missing.
    """
    paired = pair_up(gate_table)
    easy_table = gate_table.filter(gate_table["level"] < policy.headline[0])
    easy = pair_up(easy_table) if easy_table.height else None
    level, after, promoted = spend(policy.alpha, history)
    chance = p_value(paired)
    significant, sentence = _tested(paired, chance, level, after.look)
    reasons = [sentence]
    large = paired.gain >= policy.min_gain
    if not large:
        reasons.append(f"that is less than the {_points(policy.min_gain)} points that the plan asks for")
    kept = easy is None or -easy.gain <= policy.max_drop
    if easy is not None:
        reasons.append(_retained(easy, policy, kept=kept))
    rate = float(gate_table["passed"].sum()) / paired.n
    blocking = (worst_slice(policy, gate_table), peak(policy, rate, history.peak), luck(seeds))
    good = significant and large and kept and all(guard.passed for guard in blocking)
    waiting = (jump(policy, paired), in_the_field(policy))
    reasons += [guard.sentence for guard in (*blocking, *waiting, wear(policy, after.look)) if guard.sentence]
    action: Action = "reject" if not good else "promote" if all(guard.passed for guard in waiting) else "hold"
    return Ruling(
        action=action,
        reasons=tuple(reasons),
        history=replace(promoted, peak=max(history.peak, rate)) if action == "promote" else after,
        unpromoted=after,
        gain=gain_score(paired),
        retention=gain_score(easy) if easy is not None else None,
        p_value=chance,
        alpha=level,
    )


def first_champion(tasks: int, passed: int) -> Ruling:
    """The seed model: nothing to compare with, so nothing is tested and nothing spent."""
    reason = f"first champion: there is none before it to compare with; it solves {passed} of {tasks} gate tasks"
    return Ruling(action="promote", reasons=(reason,), history=History(look=0, spent=0.0, peak=passed / tasks))


def nothing_accepted(history: History) -> Ruling:
    """The cycle brought no row to train on: no challenger, no test, no error spent."""
    return Ruling(action="reject", reasons=("zero accepted rows",), history=history)


def _tested(paired: Paired, chance: float, level: float, look: int) -> tuple[bool, str]:
    significant = chance < level
    sign = "<" if significant else ">="
    asked, seen = _probability(level), f"= {_probability(chance)}"
    if chance < _SMALL <= level:
        seen = "< 0.000001"
    elif seen == f"= {asked}" and chance != level:  # the sentence must show the difference that decided
        seen, asked = f"= {chance!r}", repr(level)
    return significant, f"{_difference(paired)}, p {seen} {sign} {asked} allowed at look {look}"


def _retained(easy: Paired, policy: DecideSection, *, kept: bool) -> str:
    verdict = "within" if kept else "a larger drop than"
    allowed = f"the {_points(policy.max_drop)} points that may be lost there"
    return f"levels below {policy.headline[0]}: {_difference(easy)}, {verdict} {allowed}"


def _difference(paired: Paired) -> str:
    score = gain_score(paired)
    interval = f"95 % interval {_points(score.low)} to {_points(score.high)}"
    return f"{100 * score.value:+.1f} points on {score.n} paired tasks ({interval})"


def _points(rate: float) -> str:
    text = f"{100 * rate:.1f}"
    return "0.0" if text == "-0.0" else text


def _probability(value: float) -> str:
    """Four decimals, or more where three significant digits need them; no exponent; for example ``0.0167`` or ``0.000312``."""
    return f"{value:.{max(4, 2 - math.floor(math.log10(value)))}f}" if 0 < value < 0.001 else f"{value:.4f}"
