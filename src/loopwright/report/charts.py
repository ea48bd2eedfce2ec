"""Tables of a document as figures: SVG by Altair and vl-convert, the same bytes for the same table, nothing fetched.

``reports/theme/charts.yaml`` says which facts are drawn. A figure never stands alone: its words say what is in it, and its
table follows.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from loopwright.report.declaration import Closed, FactPath
from loopwright.report.document import FactShown
from loopwright.report.format import Writer, printable, raised
from loopwright.report.parse import parse_strict

__all__ = ["FILE", "Chart", "Figures", "draw", "read_charts"]

FILE = "theme/charts.yaml"
LABEL = 40
"""Characters of a point's name. What no font draws would end the drawing library, and with it the process."""
ROWS = 60
"""More points than this are no figure on a page."""
FONT = "Inter, Europe"
INK, QUIET = "#16202c", "#5b6877"
COLOURS = ("#0b5cad", "#b3541e", "#1d7a5f", "#6f4aa8")
"""As the theme's: told apart in print and by the colour-blind, at least 4.5 : 1 on white."""
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])
"""Lines are told apart without their colours."""


class Chart(Closed):
    """How one table is drawn."""

    kind: Literal["lines", "bars"]
    x: str
    y: tuple[str, ...]


class Figures(Closed):
    """``charts.yaml``."""

    charts: dict[FactPath, Chart]


def read_charts(data: bytes) -> Mapping[str, Chart]:
    """The file's charts by fact; UsageError says what in it is wrong."""
    wrapped = b"charts:\n" + b"".join(b"  " + line + b"\n" for line in data.splitlines())
    return parse_strict(Figures, wrapped, f"reports/{FILE}").charts


def draw(fact: FactShown, chart: Chart, writer: Writer, told: Callable[[str, Any], Any]) -> tuple[bytes, str] | None:
    """The figure of a table and its words; None where there is nothing to draw.

    Args:
        fact: a table.
        chart: which columns.
        writer: how a number is written in the reader's language.
        told: how the word of a column is.
    """
    table = fact.value
    columns, heads, rows = table["columns"], table["heads"], table["rows"]
    if not 1 < len(rows) <= ROWS or not {chart.x, *chart.y} <= set(columns):
        return None
    named = {key: str(head) for key, head in zip(columns, heads, strict=True)}
    points = list(_points(columns, rows, chart, named, told))
    if len(points) < 2:
        return None
    words = "; ".join(f"{point['x']}: {point['series']} {writer.number(point['value'])}" for point in points)
    scale = _scale(points)
    scaled = tuple(
        tuple(sorted({**point, **{key: point[key] / 10**scale for key in ("value", "low", "high")}}.items()))
        for point in points
    )
    return _svg(chart.kind, scaled, named[chart.x], scale, (writer.decimal, writer.group)), f"{fact.label}. {words}"


def _scale(points: Sequence[Mapping[str, Any]]) -> int:
    """The power of a thousand that an axis is marked in; 0 where the numbers are short enough as they are."""
    largest = max(abs(point["value"]) for point in points)
    return 3 * math.floor(math.log10(largest) / 3) if largest >= 1e5 else 0


def _points(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    chart: Chart,
    named: Mapping[str, str],
    told: Callable[[str, Any], Any],
) -> Iterator[dict[str, Any]]:
    for row in rows:
        cells = dict(zip(columns, row, strict=True))
        for key in chart.y:
            cell = cells[key]
            score = cell if isinstance(cell, Mapping) else {"value": cell}
            if isinstance(value := score.get("value"), (int, float)) and not isinstance(value, bool):
                yield {
                    "x": printable(str(told(chart.x, cells[chart.x]))[:LABEL]), "series": named[key], "value": value,
                    "low": score.get("low", value), "high": score.get("high", value),
                }  # fmt: skip


@functools.lru_cache(maxsize=64)
def _svg(kind: str, points: tuple[tuple[tuple[str, Any], ...], ...], x_title: str, scale: int, signs: tuple[str, str]) -> bytes:
    import altair as alt
    import vl_convert

    values = [dict(point) for point in points]
    series = list(dict.fromkeys(point["series"] for point in values))
    y_title = (
        f"{series[0] if len(series) == 1 else ''} \u00d7 10{raised(scale)}".strip()
        if scale
        else series[0]
        if len(series) == 1
        else None
    )
    x = alt.X("x:N", title=x_title, sort=None, axis=alt.Axis(labelAngle=0, labelOverlap=True))
    colour = alt.Color(
        "series:N", title=None, scale=alt.Scale(domain=series, range=list(COLOURS[: len(series)])),
        legend=alt.Legend(orient="top") if len(series) > 1 else None,
    )  # fmt: skip
    base = alt.Chart(alt.Data(values=values)).encode(x=x, color=colour)
    if kind == "bars":
        drawn: Any = base.mark_bar(size=22).encode(y=alt.Y("value:Q", title=y_title))
    else:
        dash = alt.StrokeDash(
            "series:N", title=None, legend=None, scale=alt.Scale(domain=series, range=list(DASHES[: len(series)]))
        )
        band = base.mark_area(opacity=0.14).encode(y=alt.Y("low:Q", title=y_title), y2="high:Q")
        line = base.mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=34, filled=True)).encode(
            y="value:Q", strokeDash=dash
        )
        drawn = band + line
    font = {
        "labelFont": FONT,
        "titleFont": FONT,
        "labelFontSize": 10,
        "titleFontSize": 10,
        "labelColor": INK,
        "titleColor": INK,
    }
    spec = (
        drawn.properties(width=440, height=170)
        .configure(font=FONT, background="transparent")
        .configure_axis(**font, gridColor="#e3e8ee", domainColor=QUIET, tickColor=QUIET, titleFontWeight="normal")
        .configure_legend(labelFont=FONT, labelFontSize=10, labelColor=INK, symbolStrokeWidth=3, labelLimit=0)
        .configure_view(stroke=None)
    )
    numbers = {"decimal": signs[0], "thousands": signs[1], "grouping": [3], "currency": ["", ""]}
    return vl_convert.vegalite_to_svg(spec.to_json(), format_locale=numbers).encode()
