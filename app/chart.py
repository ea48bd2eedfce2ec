"""The charts, as Vega-Lite in the colours of the reader's theme. No Streamlit here: documents and exports draw the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import altair as alt

from app.palette import palette
from app.words import Words

__all__ = ["Point", "curve_spec", "describe", "points_of", "score_curve"]

_SHAPES = {
    "promote": "circle",
    "reject": "triangle-down",
    "hold": "square",
    "halt": "cross",
    "open": "diamond",
}
_UNKNOWN = "stroke"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One headline score of one cycle."""

    cycle: str
    suite: Literal["sealed", "gate"]
    value: float
    low: float
    high: float
    n: int
    method: str
    decision: str
    """``promote``, ``reject``, ``hold``, ``halt``, ``open``, or a word of a later version."""


def points_of(rows: Sequence[Mapping[str, Any]]) -> tuple[Point, ...]:
    """The points of these cycles (`overview.cycle_row`)."""
    return tuple(
        Point(cycle=row["cycle"], suite=suite, decision=row["decision"] or "open", **{key: row[suite][key] for key in ("value", "low", "high", "n", "method")})
        for row in rows
        for suite in ("sealed", "gate")
        if row[suite]
    )  # fmt: skip


@lru_cache(maxsize=32)
def curve_spec(points: tuple[Point, ...], words: Words, *, dark: bool = False) -> str:
    """`score_curve` as JSON. Kept: the same curve is drawn for every visitor until a cycle ends, and altair checks it at length."""
    return score_curve(points, words, dark=dark).to_json(indent=None)


def score_curve(points: Sequence[Point], words: Words, *, dark: bool = False, height: int = 340) -> alt.LayerChart:
    """Lines and bands by suite, one mark a cycle whose shape says the decision."""
    colours = palette("dark" if dark else "light")
    ink = colours["quiet"]
    suites = [words("suite.sealed"), words("suite.gate")]
    kinds = sorted({point.decision for point in points}, key=lambda kind: (*_SHAPES, kind).index(kind))
    said = {kind: words.named("decision", kind) if kind in _SHAPES else words("decision.unknown") for kind in kinds}
    text = {"labelColor": ink, "titleColor": ink, "labelFontSize": 12, "titleFontSize": 12}
    legend = {"labelColor": ink, "labelFontSize": 12, "labelLimit": 0, "title": None}
    cycle = alt.X(
        "cycle:O",
        title=words("cycle"),
        axis=alt.Axis(labelAngle=0, labelOverlap=True, grid=False, domainColor=colours["line"], **text),
    )
    comma = words.number(0.5, 1)[1]
    axis = alt.Axis(
        labelExpr=f"replace(format(datum.value, '.2f'), '.', '{comma}')",
        tickCount=5,
        gridColor=colours["line"],
        domain=False,
        **text,
    )
    colour = alt.Color(
        "suite:N", scale=alt.Scale(domain=suites, range=colours["series"][:2]),
        legend=alt.Legend(orient="top", symbolType="stroke", symbolOpacity=1, symbolStrokeWidth=3, **legend),
    )  # fmt: skip
    shape = alt.Shape(
        "decision:N", scale=alt.Scale(domain=list(said.values()), range=[_SHAPES.get(kind, _UNKNOWN) for kind in kinds]),
        legend=alt.Legend(orient="bottom", columns=5, symbolSize=70, symbolFillColor=ink, symbolStrokeColor=ink, **legend),
    )  # fmt: skip
    base = alt.Chart(alt.Data(values=[_datum(point, words, said) for point in points])).encode(x=cycle, color=colour)
    scale = alt.Scale(zero=True, nice=True)
    band = base.mark_area(opacity=0.16).encode(y=alt.Y("low:Q", title=words("headline"), axis=axis, scale=scale), y2="high:Q")
    line = base.mark_line(strokeWidth=2).encode(y=alt.Y("value:Q", title=words("headline"), axis=axis, scale=scale))
    size = 110 if len(points) <= 80 else 22
    tips = [
        alt.Tooltip("cycle:N", title=words("cycle")),
        alt.Tooltip("suite:N", title=words("suite")),
        alt.Tooltip("decision:N", title=words("decision")),
    ]
    tips += [alt.Tooltip("score:N", title=words("headline"))]
    mark = base.mark_point(size=size, filled=True, opacity=1).encode(y="value:Q", shape=shape, tooltip=tips)
    chart = alt.LayerChart(layer=[band, line, mark], height=height, width="container")
    return chart.configure_view(stroke=None).configure(font="Inter")


def _datum(point: Point, words: Words, said: Mapping[str, str]) -> dict[str, Any]:
    """Numbers and our own words; the interval's method, which is the record's text, stands beside the chart."""
    score = {"value": point.value, "low": point.low, "high": point.high, "n": point.n}
    return {
        "cycle": point.cycle, "suite": words(f"suite.{point.suite}"), "decision": said[point.decision], "score": words.score(score),
        **{name: round(score[name], 4) for name in ("value", "low", "high")},
    }  # fmt: skip


def describe(points: Sequence[Point], words: Words) -> str:
    """The curve in words, for whoever does not see it: the last twenty points whole, what was before in a sentence."""
    last = [
        f"{point.cycle} {words(f'suite.{point.suite}')} {words.number(point.value)}, {words.named('decision', point.decision)}"
        for point in points[-20:]
    ]
    return words("curve_words", count=words.count(len({point.cycle for point in points})), points="; ".join(last))
