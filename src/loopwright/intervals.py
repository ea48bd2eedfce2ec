"""How sure a share is: Wilson's interval, for whoever measures one."""

from __future__ import annotations

from collections.abc import Sequence

from loopwright.types import Score

__all__ = ["METHOD", "wilson"]

METHOD = "wilson 95%"


def wilson(passed: Sequence[bool]) -> Score | None:
    """Share of True with Wilson's 95 % interval (J. Am. Stat. Assoc. 22 (1927) 209); None of nothing."""
    from scipy.stats import binomtest

    if not passed:
        return None
    interval = binomtest(sum(passed), len(passed)).proportion_ci(0.95, method="wilson")
    value = sum(passed) / len(passed)
    # at 0 and 1 the formula's end is the value up to rounding; a value outside its interval would be a wrong statement
    return Score(
        value=value, low=min(float(interval.low), value), high=max(float(interval.high), value), n=len(passed), method=METHOD
    )
