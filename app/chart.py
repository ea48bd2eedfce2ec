"""The score curve: sealed and gate headline score by cycle, with interval bands and what was decided. No Streamlit here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import altair as alt

from app.view import Point

__all__ = ["describe", "score_curve"]

SUITES = ["Sealed suite", "Gate suite"]
DECISIONS = {
    "promoted": "circle",
    "rejected": "triangle-down",
    "on hold": "square",
    "halted": "cross",
    "open": "diamond",
    "unknown": "stroke",
}


def score_curve(points: Sequence[Point], *, dark: bool = False) -> alt.LayerChart:
    """Lines and bands by suite, one mark a cycle whose shape says the decision. The suites' colours are the theme's."""
    ink = "#b7c3d0" if dark else "#4a5664"
    shown = sorted({point.decision for point in points}, key=list(DECISIONS).index)
    text = {"labelColor": ink, "titleColor": ink, "labelFontSize": 12, "titleFontSize": 12}
    cycle = alt.X("cycle:O", title="Cycle", axis=alt.Axis(labelAngle=0, labelOverlap=True, grid=False, **text))
    axis = alt.Axis(format=".2f", tickCount=5, **text)
    title, scale = "Headline pass@1", alt.Scale(zero=True, nice=True)
    legend = {"labelColor": ink, "labelFontSize": 12, "labelLimit": 0}
    colour = alt.Color(
        "suite:N", title=None, scale=alt.Scale(domain=SUITES),
        legend=alt.Legend(orient="top", symbolType="stroke", symbolOpacity=1, symbolStrokeWidth=3, **legend),
    )  # fmt: skip
    shape = alt.Shape(
        "decision:N", title=None, scale=alt.Scale(domain=shown, range=[DECISIONS[name] for name in shown]),
        legend=alt.Legend(orient="bottom", columns=3, symbolSize=70, symbolFillColor=ink, symbolStrokeColor=ink, **legend),
    )  # fmt: skip
    base = alt.Chart(alt.Data(values=[_datum(point) for point in points])).encode(x=cycle, color=colour)
    band = base.mark_area(opacity=0.16).encode(y=alt.Y("low:Q", title=title, axis=axis, scale=scale), y2="high:Q")
    line = base.mark_line(strokeWidth=2).encode(y=alt.Y("value:Q", title=title, axis=axis, scale=scale))
    size = 110 if len(points) <= 80 else 22
    mark = base.mark_point(size=size, filled=True, opacity=1).encode(y="value:Q", shape=shape, tooltip=_tooltip())
    return alt.LayerChart(layer=[band, line, mark], height=420)


def _datum(point: Point) -> dict[str, Any]:
    return {name: value for name, value in asdict(point).items() if name != "method"}


def _tooltip() -> list[alt.Tooltip]:
    """Numbers and our own words; the interval's method, which is the record's text, stands beside the chart."""
    named = {
        "cycle:N": "Cycle",
        "suite:N": "Suite",
        "decision:N": "Decision",
        "value:Q": "Score",
        "low:Q": "From",
        "high:Q": "To",
    }
    return [*(alt.Tooltip(field, title=title) for field, title in named.items()), alt.Tooltip("n:Q", title="n")]


def describe(points: Sequence[Point]) -> str:
    """The curve in words, for whoever does not see it."""
    said = [
        f"{point.cycle} {point.suite} {point.value:.3f}, {point.low:.3f} to {point.high:.3f}, {point.decision}"
        for point in points
    ]
    return "Headline score by cycle with intervals. " + "; ".join(said)
