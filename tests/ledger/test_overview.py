"""What a person asks of a loop: the trend with its interval."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from loopwright.ledger.overview import student_95, tightening


@given(st.integers(1, 3000))
def test_the_quantile_is_students(freedom: int) -> None:
    assert student_95(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-9)


def rows(seconds: list[float]) -> list[dict[str, Any]]:
    named = [f"c{number:04d}" for number in range(len(seconds))]
    return [
        {"cycle": name, "parent": before, "prev": before, "wall_seconds": each, "sealed": {"value": 0.1 * number}}
        for number, (name, before, each) in enumerate(zip(named, [None, *named], seconds, strict=False))
    ]


@given(st.lists(st.floats(1, 1e4), min_size=4, max_size=40))
def test_the_trend_is_the_least_squares_slope_with_its_t_interval(seconds: list[float]) -> None:
    found = tightening(rows(seconds))
    turned = seconds[1:]
    assume(len(set(turned)) > 1)  # scipy gives no error of a constant
    fit = stats.linregress(range(len(turned)), turned)
    half = stats.t.ppf(0.975, len(turned) - 2) * fit.stderr
    trend = found["cycle_seconds_trend"]
    size = max(np.abs(turned))
    assert trend["value"] == pytest.approx(fit.slope, rel=1e-6, abs=1e-9 * size)
    assert trend["high"] - trend["low"] == pytest.approx(2 * half, rel=1e-4, abs=1e-6 * size)
    assert found["gain_per_hour"] == pytest.approx([round(0.1 * 3600 / each, 4) for each in turned])


def test_two_turned_cycles_are_no_trend() -> None:
    assert tightening(rows([9.0, 5.0, 4.0]))["cycle_seconds_trend"] is None
