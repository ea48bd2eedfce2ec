"""Scores by slice, and whether a loop makes the differences between slices larger than they were in its first model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from loopwright.types import Score

__all__ = ["amplification", "association", "by_column", "slice_columns"]

_RESAMPLES = 400
_SEED = 20260102


def slice_columns(slices: Sequence[str]) -> dict[str, list[str]]:
    """JSON texts of slices, a task each -> the task's value by column; a column that some task lacks has ``""`` there."""
    rows = [json.loads(text or "{}") for text in slices]
    return {name: [row.get(name, "") for row in rows] for name in sorted({name for row in rows for name in row})}


def by_column(columns: Mapping[str, Sequence[str]], passed: Sequence[bool]) -> dict[str, dict[str, Any]]:
    """By column: best and worst value with rate and n, their difference (`fairlearn.metrics.MetricFrame`), and `association`.

    A column of one value, or of none, is left out: there is nothing to compare.
    """
    from fairlearn.metrics import MetricFrame, count, selection_rate

    found: dict[str, dict[str, Any]] = {}
    for name, values in columns.items():
        if len(set(values)) < 2:
            continue
        frame = MetricFrame(
            metrics={"rate": selection_rate, "n": count},
            y_true=[1] * len(values),
            y_pred=[int(each) for each in passed],
            sensitive_features=list(values),
        )
        rates = frame.by_group["rate"]
        found[name] = {
            label: {"value": str(value), "rate": float(rates[value]), "n": int(frame.by_group["n"][value])}
            for label, value in (("best", rates.idxmax()), ("worst", rates.idxmin()))
        }
        found[name] |= {"difference": float(frame.difference()["rate"]), "association": association(values, passed)}
    return found


def association(values: Sequence[str], passed: Sequence[bool]) -> float:
    """Bias-corrected Cramér's V of slice and passing, 0 to 1 (Bergsma, J. Korean Stat. Soc. 42 (2013) 323).

    Unlike the difference of rates it does not grow merely because all rates do, nor with the number of small slices.
    """
    import numpy as np

    codes, groups = _codes(values)
    return _cramer(codes, groups, np.asarray(passed, dtype=float))


def amplification(columns: Mapping[str, Sequence[str]], passed: Sequence[bool], first: Sequence[bool]) -> Score | None:
    """The largest growth of `association` over the first model's, over all columns; bootstrap over tasks, both models paired."""
    import numpy as np

    drawn = np.random.default_rng(_SEED).integers(len(passed), size=(_RESAMPLES, len(passed)))
    now, before = np.asarray(passed, dtype=float), np.asarray(first, dtype=float)
    found = []
    for values in columns.values():
        codes, groups = _codes(values)
        if groups < 2:
            continue
        value = _cramer(codes, groups, now) - _cramer(codes, groups, before)
        spread = np.array([_cramer(codes[at], groups, now[at]) - _cramer(codes[at], groups, before[at]) for at in drawn])
        low, high = value + np.quantile(spread - spread.mean(), (0.025, 0.975))
        found.append(
            Score(value=value, low=float(low), high=float(high), n=len(passed), method="paired bootstrap over tasks 95%")
        )
    return max(found, key=lambda score: score.value, default=None)


def _codes(values: Sequence[str]) -> tuple[Any, int]:
    import numpy as np

    names, codes = np.unique(np.asarray(values), return_inverse=True)
    return codes, len(names)


def _cramer(codes: Any, groups: int, passed: Any) -> float:
    """With two outcomes the largest V² there can be is 1, up to 1 / n."""
    import numpy as np

    n, share = len(passed), passed.mean()
    if share in (0.0, 1.0):
        return 0.0
    sizes = np.bincount(codes, minlength=groups)
    rates = np.bincount(codes, weights=passed, minlength=groups) / np.maximum(sizes, 1)
    phi = float((sizes * (rates - share) ** 2).sum() / (n * share * (1 - share)))
    return max(0.0, phi - (int((sizes > 0).sum()) - 1) / (n - 1)) ** 0.5
