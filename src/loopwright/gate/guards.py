"""What a significant gain must not come with: a slice that lost, a fall from the best so far, a jump too good to believe.

Each guard is a pure function of the gate's table and the policy and gives a sentence with its numbers; none of them can make a
promotion out of a rejection. Error control is the budget's business (`spending`): guards can only make promotions rarer.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loopwright.gate.paired import Paired, gain_score, pair_up

if TYPE_CHECKING:
    import polars as pl

    from loopwright.sections import DecideSection

__all__ = ["Guard", "field", "jump", "luck", "peak", "wear", "worst_slice"]

_ERRORS = 2.0
"""Standard errors that a slice's drop must exceed, besides the policy's share, to count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What one guard says."""

    passed: bool
    sentence: str
    """For a manager; empty where there is nothing to say."""


_FINE = Guard(passed=True, sentence="")


def worst_slice(policy: DecideSection, table: pl.DataFrame) -> Guard:
    """No level, and no slice that the domain names, may lose more than ``max_slice_drop``, by more than two standard errors.

    The error is that of a paired difference under no change, sqrt(gained + lost) / n; with a few dozen tasks a slice, chance
    alone moves it by ten points, so both conditions are needed.
    """
    found = [
        (pairs.gain, name, pairs)
        for name, pairs in sorted(_slices(table).items())
        if -pairs.gain > policy.max_slice_drop and -pairs.gain * pairs.n > _ERRORS * (pairs.gained + pairs.lost) ** 0.5
    ]
    if not found:
        return _FINE
    _, name, pairs = min(found)
    score, lost = gain_score(pairs), f"more than the {100 * policy.max_slice_drop:.1f} points that a slice may lose"
    return Guard(passed=False, sentence=f"slice {name}: {100 * score.value:+.1f} points on {score.n} paired tasks, {lost}")


def _slices(table: pl.DataFrame) -> dict[str, Paired]:
    """Paired counts by ``column=value``; the level is a column of every domain."""
    rows: dict[str, list[int]] = {}
    named = table["slices"] if "slices" in table.columns else [None] * table.height
    for place, (text, level) in enumerate(zip(named, table["level"], strict=True)):
        for column, value in {**json.loads(text or "{}"), "level": level}.items():
            rows.setdefault(f"{column}={value}", []).append(place)
    return {name: pair_up(table[places]) for name, places in rows.items()}


def peak(policy: DecideSection, rate: float, best: float) -> Guard:
    """Not below the best gate score that any promoted model had, by more than ``max_drop``: after a rollback the champion is not the best.

    Of loops that went on past their peak most end below it (RSIBench-Data, arXiv 2607.25886), so the best is what is compared with.
    """
    if best - rate <= policy.max_drop:
        return _FINE
    return Guard(
        passed=False,
        sentence=f"gate score {100 * rate:.1f} is below the best so far, {100 * best:.1f}, by more than may be lost",
    )


def luck(seeds: Mapping[str, Sequence[float] | None] | None) -> Guard:
    """A gain over the means of several training seeds has to exceed two standard errors of what the seed alone does.

    Args:
        seeds: Gate scores by training seed, of the ``model`` and the ``champion``; None where there are none. With fewer than
            two on either side there is nothing to estimate the luck from.

    Seed alone can move a result more than most improvements do (Miller, arXiv 2411.00640).
    """
    model, champion = (list((seeds or {}).get(name) or ()) for name in ("model", "champion"))
    if min(len(model), len(champion)) < 2:
        return _FINE
    gain = statistics.mean(model) - statistics.mean(champion)
    error = (statistics.variance(model) / len(model) + statistics.variance(champion) / len(champion)) ** 0.5
    if gain > _ERRORS * error:
        return _FINE
    said = f"over {len(model)} and {len(champion)} training seeds the gain is {100 * gain:+.1f} points"
    return Guard(passed=False, sentence=f"{said}, within the {100 * _ERRORS * error:.1f} that the seed alone may do")


def jump(policy: DecideSection, paired: Paired) -> Guard:
    """A gain above ``max_jump`` waits for a person: a changed evaluator or a found hole looks just like this."""
    if paired.gain <= policy.max_jump:
        return _FINE
    said = f"a gain of {100 * paired.gain:.1f} points in one cycle is above the {100 * policy.max_jump:.1f} that pass without a person"
    return Guard(passed=False, sentence=f"{said}: look for a hole or a changed evaluator before you believe it")


def field(policy: DecideSection) -> Guard:
    """Where a model does much worse in the field than on the gate suite, the suite no longer says what a promotion is for.

    Only a gap whose whole interval is beyond the limit holds a promotion; a warning goes by the value.
    """
    gap, rule = policy.field, policy.field_gap
    if gap is None:
        return _FINE
    sign = 1 if rule.bad == "above" else -1
    mildest = gap.low if rule.bad == "above" else gap.high
    points = f"{100 * gap.value:+.1f} points ({100 * gap.low:.1f} to {100 * gap.high:.1f}, n = {gap.n}, entry {gap.leaf})"
    said = f"between the gate suite and the field a model loses {points}"
    if rule.stop is not None and sign * mildest > sign * rule.stop:
        return Guard(passed=False, sentence=f"{said}: {rule.bad} {rule.stop:g} a person has to look")
    warned = rule.warn is not None and sign * gap.value > sign * rule.warn
    return Guard(passed=True, sentence=f"{said}: {rule.bad} {rule.warn:g} is warned of") if warned else _FINE


def wear(policy: DecideSection, look: int) -> Guard:
    """How often the gate suite was used; beyond ``gate_uses`` what it says is partly about itself (never blocks)."""
    if look <= policy.gate_uses:
        return _FINE
    return Guard(
        passed=True,
        sentence=f"the gate suite was used {look} times, {policy.gate_uses} are planned: it wears out, start a loop with fresh suites",
    )
