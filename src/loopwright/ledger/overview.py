"""What a person asks of a loop, as plain values: where it is, how good, how fast it tightens. Folds over `LoopState`."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from loopwright.ledger.fold import CycleRecord, LoopState

__all__ = ["SCHEMA_VERSION", "cycle_row", "overview", "student_95", "tightening"]

SCHEMA_VERSION = 1


def overview(state: LoopState) -> dict[str, Any]:
    """The whole loop: its cycles in order, the champion, and the trend. Plain JSON, ``schema_version`` 1."""
    rows = [cycle_row(record) for record in state.cycles.values()]
    return {
        "schema_version": SCHEMA_VERSION,
        "workspace": state.workspace,
        "name": state.name,
        "demo": state.demo,
        "champion": state.champion,
        "open": state.open,
        "leaves": state.leaves,
        "cycles": rows,
        "tightening": tightening(rows),
    }


def cycle_row(record: CycleRecord) -> dict[str, Any]:
    """One cycle: decision with reasons, scores with intervals, rows, time by phase, tokens."""
    summaries = {phase: done.summary for phase, done in record.phases.items()}
    scores, verified = summaries.get("evaluate", {}), summaries.get("verify", {})
    return {
        "cycle": record.cycle,
        "parent": record.parent,
        "prev": record.prev,
        "seed": record.seed,
        "opened_at": record.opened_at,
        "closed_at": record.closed_at,
        "decision": record.action,
        "reasons": list(record.reasons),
        "gate": _headline(scores.get("gate")),
        "sealed": _headline(scores.get("sealed")),
        "gate_levels": dict(scores.get("gate", {}).get("levels", {})),
        "sealed_levels": dict(scores.get("sealed", {}).get("levels", {})),
        "pass_at": scores.get("pass_at"),
        "gain": summaries.get("decide", {}).get("gain"),
        "lights": dict(summaries.get("decide", {}).get("lights", {})),
        "card": dict(summaries.get("examine", {}).get("figures", {})),
        "stress": dict(summaries.get("examine", {}).get("stress", {})),
        "slices": dict(summaries.get("examine", {}).get("slices", {})),
        "accepted": verified.get("accepted"),
        "refused": dict(verified.get("refused", {})),
        "isolation": dict(verified.get("isolation", {})),
        "archive": summaries.get("merge"),
        "tokens": sum(int(summary.get("tokens", 0)) for summary in summaries.values()),
        "seconds": {phase: done.seconds for phase, done in record.phases.items()},
        "wall_seconds": _between(record.opened_at, record.closed_at),
        "failures": [dict(failure) for failure in record.failures],
    }


def tightening(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How fast the loop tightens: cycle time and sealed gain an hour by cycle, and their linear trend.

    The trend is an ordinary least-squares slope over the cycles with a 95 % t interval; None below three cycles.
    """
    turned = [row for row in rows if row["prev"] and row["wall_seconds"]]
    seconds = [row["wall_seconds"] for row in turned]
    scores = {row["cycle"]: row["sealed"]["value"] for row in rows if row["sealed"]}
    rates = [
        (scores[row["cycle"]] - scores[row["parent"]]) / (row["wall_seconds"] / 3600)
        for row in turned
        if row["cycle"] in scores and row["parent"] in scores
    ]
    return {
        "cycle_seconds": seconds,
        "gain_per_hour": [round(rate, 4) for rate in rates],
        "cycle_seconds_trend": _slope(seconds),
        "gain_per_hour_trend": _slope(rates),
        "method": "least-squares slope a cycle, 95% t interval; gain = challenger minus parent, sealed headline score",
    }


def _slope(values: Sequence[float]) -> dict[str, float | int] | None:
    count = len(values)
    if count < 3:
        return None
    fit = statistics.linear_regression(range(count), values)
    residual = sum((value - fit.intercept - fit.slope * index) ** 2 for index, value in enumerate(values))
    spread = sum((index - (count - 1) / 2) ** 2 for index in range(count))
    half = student_95(count - 2) * math.sqrt(residual / (count - 2) / spread)
    return {"value": fit.slope, "low": fit.slope - half, "high": fit.slope + half, "n": count}


def student_95(freedom: int) -> float:
    """The 0.975 quantile of Student's t: bisection on the angle of its finite series for whole degrees of freedom.

    Abramowitz and Stegun 26.7.3 and 26.7.4. scipy has it, too, behind imports that take a third of `status`'s second.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < 0.95 else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def _within(angle: float, freedom: int) -> float:
    """P(|T| < sqrt(freedom) tan(angle))."""
    odd, square = freedom % 2, math.cos(angle) ** 2
    term = total = 0.0 if freedom == 1 else math.cos(angle) if odd else 1.0
    for step in range(2 + odd, freedom, 2):
        term *= square * (step - 1) / step
        total += term
    return 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total


def _headline(suite: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return dict(suite["headline"]) if suite and suite["headline"] else None


def _between(opened: str | None, closed: str | None) -> float | None:
    if not opened or not closed:
        return None
    return (datetime.fromisoformat(closed) - datetime.fromisoformat(opened)).total_seconds()
