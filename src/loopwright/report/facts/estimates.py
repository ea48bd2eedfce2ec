"""Shares and slopes with their intervals, as plain JSON. It binds no fact."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from loopwright.intervals import METHOD, halves
from loopwright.ledger.overview import student_95

__all__ = ["ahead", "rate", "slope"]


def rate(count: int, of: int) -> dict[str, Any] | None:
    """The share with Wilson's 95 % interval; None of nothing."""
    found = halves([1.0] * count + [0.0] * (of - count), 0.0)
    if found is None:
        return None
    low, high = min(max(found.low, 0.0), found.value), max(min(found.high, 1.0), found.value)
    return {"value": found.value, "low": low, "high": high, "n": of, "method": METHOD}


def _fit(values: Sequence[float]) -> tuple[float, float, float, float]:
    """Intercept, slope, residual variance and spread of the steps 0, 1, 2 …"""
    count = len(values)
    line = statistics.linear_regression(range(count), values)
    residual = sum((value - line.intercept - line.slope * step) ** 2 for step, value in enumerate(values))
    spread = sum((step - (count - 1) / 2) ** 2 for step in range(count))
    return line.intercept, line.slope, residual / (count - 2), spread


def slope(values: Sequence[float]) -> dict[str, Any] | None:
    """Change a step by least squares with a 95 % t interval; None below three values."""
    if len(values) < 3:
        return None
    _, value, variance, spread = _fit(values)
    half = student_95(len(values) - 2) * math.sqrt(variance / spread)
    return {"value": value, "low": value - half, "high": value + half, "n": len(values), "method": "least squares, t 95%"}


def ahead(values: Sequence[float], steps: int) -> list[dict[str, Any]]:
    """The next steps by the same line, each with a 95 % prediction interval; none below three values."""
    count = len(values)
    if count < 3:
        return []
    intercept, value, variance, spread = _fit(values)
    found = []
    for step in range(count, count + steps):
        middle = intercept + value * step
        half = student_95(count - 2) * math.sqrt(variance * (1 + 1 / count + (step - (count - 1) / 2) ** 2 / spread))
        found.append(
            {
                "value": middle,
                "low": middle - half,
                "high": middle + half,
                "n": count,
                "method": "least squares, prediction 95%",
            }
        )
    return found
