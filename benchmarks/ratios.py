"""Paired ratios of one run: what a benchmark reports instead of seconds, which a busy machine makes worthless."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from scipy.stats import t as student

__all__ = ["mean_ratio"]


def mean_ratio(ratios: Sequence[float]) -> dict[str, Any]:
    """Geometric mean of paired ratios with its 95 % interval."""
    logs = [math.log(ratio) for ratio in ratios]
    middle, half = statistics.mean(logs), student.ppf(0.975, len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    value, low, high = (round(math.exp(point), 3) for point in (middle, middle - half, middle + half))
    return {"value": value, "low": low, "high": high, "n": len(logs), "method": "geometric mean, t interval 95%"}
