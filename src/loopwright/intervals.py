"""How sure a share is: Wilson's interval, for whoever measures one."""

from __future__ import annotations

from collections.abc import Sequence

from loopwright.types import Score

__all__ = ["METHOD", "halves", "wilson"]

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


def halves(points: Sequence[float], neutral: float) -> Score | None:
    """Mean of points from 0 to 1, less ``neutral``, with Wilson's interval; None of nothing.

    Where some points are halves they scatter less than the interval allows for, so it is too wide rather than too narrow.
    """
    if not points:
        return None
    count, mean, square = len(points), sum(points) / len(points), 1.959963984540054**2
    middle, half = mean + square / (2 * count), (square * (mean * (1 - mean) / count + square / (4 * count**2))) ** 0.5
    low, high = ((middle + sign * half) / (1 + square / count) for sign in (-1, 1))
    return Score(value=mean - neutral, low=low - neutral, high=high - neutral, n=count, method=f"{METHOD}, less {neutral:g}")
