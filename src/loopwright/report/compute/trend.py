"""When a line of weights would pass a threshold if it went on as it did: a straight line through cumulative compute over time.

For weights that are trained further in each cycle that is what happens: every cycle adds about as much as the one before. The
interval comes from the 95 % interval of the slope (ordinary least squares, Student's t); it says nothing of a change of plans.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

__all__ = ["LEAST", "Crossing", "crossing"]

LEAST = 3
"""Points below which there is no trend."""
_YEAR = 365.25 * 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A projected passing of a threshold; None where there is none to project."""

    threshold: float
    n: int
    reason: str
    """``projected``, or why not: ``passed``, ``too-few``, ``not-growing``."""
    years: float | None = None
    """From the last point on."""
    low: float | None = None
    high: float | None = None
    """None: with a slope that may be zero there is no last date."""
    last: str = ""

    def date(self, years: float | None) -> str | None:
        """As a date; None beyond the calendar's end."""
        if years is None or not self.last:
            return None
        try:
            return (datetime.fromisoformat(self.last) + timedelta(days=years * 365.25)).date().isoformat()
        except OverflowError:
            return None


def crossing(points: Sequence[tuple[str, float]], threshold: float) -> Crossing:
    """Project it from (time, cumulative FLOP), oldest first."""
    n = len(points)
    if points and points[-1][1] >= threshold:
        return Crossing(threshold=threshold, n=n, reason="passed", last=points[-1][0])
    if n < LEAST:
        return Crossing(threshold=threshold, n=n, reason="too-few")
    times = [datetime.fromisoformat(time).astimezone(UTC).timestamp() for time, _ in points]
    slope, low, high = _slope([time - times[0] for time in times], [value for _, value in points])
    if slope <= 0:
        return Crossing(threshold=threshold, n=n, reason="not-growing")
    left = threshold - points[-1][1]
    return Crossing(
        threshold=threshold,
        n=n,
        reason="projected",
        years=left / slope / _YEAR,
        low=left / high / _YEAR,
        high=left / low / _YEAR if low > 0 else None,
        last=points[-1][0],
    )


def _slope(times: Sequence[float], values: Sequence[float]) -> tuple[float, float, float]:
    """FLOP a second with its interval; (0, 0, 0) where all points have one time."""
    from scipy.special import stdtrit

    if times[0] == times[-1]:
        return 0.0, 0.0, 0.0
    scale = max(abs(value) for value in values) or 1.0  # keeps squares of 1e25 within floats
    n, shares = len(times), [value / scale for value in values]
    middle, level = sum(times) / n, sum(shares) / n
    spread = sum((time - middle) ** 2 for time in times)
    slope = sum((time - middle) * (share - level) for time, share in zip(times, shares, strict=True)) / spread
    rest = sum((share - level - slope * (time - middle)) ** 2 for time, share in zip(times, shares, strict=True))
    half = float(stdtrit(n - 2, 0.975)) * math.sqrt(rest / (n - 2) / spread)
    return slope * scale, (slope - half) * scale, (slope + half) * scale
