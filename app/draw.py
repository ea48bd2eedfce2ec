"""Drawing a sheet in Streamlit: the one place that knows how notices, figures, tables, charts and exports look.

Only our own words reach Markdown, and they are escaped all the same, since names of a record stand in them; text of a record goes
through `st.text`, `st.code` and table cells, which show it as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from app.exports import csv_of, html_of, json_of
from app.palette import palette
from app.sheet import Chart, Column, Figure, Mark, Notice, Sheet, Table, shown
from app.words import NOTHING, Words
from loopwright.ledger.access import saw

if TYPE_CHECKING:
    from app.frame import Here

__all__ = ["chart", "dark", "exports", "figures", "mark", "notice", "plain", "quiet", "sheet", "table"]

_PUNCTUATION = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$^=@&\"'])")
_COLOURS: Mapping[Mark, str] = {"good": "green", "warn": "orange", "bad": "red", "wait": "violet", "none": "gray", "": "gray"}
SHORT, TALL = 26, 700
"""Rows that a table shows without scrolling in itself, and pixels of a longer one."""
EXACT = 2**53
"""Numbers from here on a browser does not hold exactly: they are written as text."""
_JOINER = "\u2060"


def plain(text: str) -> str:
    """Text that Markdown shows as it is: no emphasis, link, formula, directive or emoji."""
    return _PUNCTUATION.sub(r"\\\1", text).replace(":", f":{_JOINER}").replace("www", f"www{_JOINER}").replace("\n", " ")


def dark() -> bool:
    """The reader's theme is the dark one."""
    return st.context.theme.type == "dark"


def sheet(here: Here, told: Sheet) -> None:
    """Everything of a sheet in its usual order. Pages that order it otherwise call the parts."""
    for one in told.notices:
        notice(here.words, one)
    figures(told.figures)
    for one in told.charts:
        chart(one)
    for one in told.tables:
        table(here.words, one)


def notice(words: Words, told: Notice) -> None:
    """A box with a title; beneath it the detail as it is, and the next command."""
    box = {"info": st.info, "success": st.success, "warning": st.warning, "error": st.error}[told.kind]
    box(plain(told.title))
    if told.detail:
        st.code(told.detail, language=None, wrap_lines=True)
    if told.command:
        st.text(words("next"))
        st.code(told.command, language=None, wrap_lines=True)


def figures(told: Sequence[Figure], columns: int | None = None, *, width: int = 140) -> None:
    """Boxes of one height side by side, at least ``width`` pixels each, wrapping where it is narrow."""
    if not told:
        return
    with st.grid(columns=columns or len(told), min_column_width=width):
        for one in told:
            with st.container(border=True, height="stretch", gap="xsmall"):
                st.metric(plain(one.label), one.value)
                if one.mark:
                    mark(one.mark, one.note)
                elif one.note:
                    quiet(one.note)


def mark(kind: Mark, words: str) -> None:
    """A state in words, with its colour."""
    st.markdown(f":{_COLOURS[kind]}[:small[{plain(words)}]]" if kind else plain(words))


def quiet(words: str) -> None:
    """Small print (a caption's grey is too faint)."""
    st.markdown(f":gray[:small[{plain(words)}]]")


def chart(told: Chart) -> None:
    """A chart under its heading, with its text for those who do not see it."""
    if told.title:
        st.header(plain(told.title), anchor=False)
    st.altair_chart(told.chart, alt=told.words, key=f"chart-{told.name}")
    if told.note:
        quiet(told.note)


def table(words: Words, told: Table, *, select: str | None = None, key: str | None = None) -> Any:
    """A table under its heading. ``select``: ``single-row`` or ``multi-row``; then the numbers of the selected rows come back."""
    import pandas as pd

    if told.title:
        st.header(plain(told.title), anchor=False)
    if not told.rows:
        st.text(words("nothing_here"))
        return []
    spoken = {column.key: shown(words, column) for column in told.columns if _spoken(column, told.rows)}
    rows = [
        {key: spoken[key](value) if key in spoken and value is not None else value for key, value in row.items()}
        for row in told.rows
    ]
    frame = pd.DataFrame([{column.key: row.get(column.key) for column in told.columns} for row in rows], dtype=object)
    styled = frame.style.format(
        {column.key: _or_dash(shown(words, column)) for column in told.columns if column.key not in spoken}
    )
    for column in told.columns:
        if column.marks:
            styled = styled.map(partial(_style, column.marks), subset=[column.key])
    shape: dict[str, Any] = {
        "hide_index": True,
        "placeholder": NOTHING,
        "height": "content" if len(told.rows) <= SHORT else TALL,
        "alt": f"{told.title or told.name}: {', '.join(column.label for column in told.columns)}",
        "column_config": {column.key: _config(column, text=column.key in spoken) for column in told.columns},
        "key": key or f"table-{told.name}",
        **({"on_select": "rerun", "selection_mode": select} if select else {}),
    }
    event: Any = st.dataframe(styled, **shape)
    if told.note:
        quiet(told.note)
    return list(event.selection.rows) if select else []


def _or_dash(write: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda value: NOTHING if value is None or value != value else write(value)  # noqa: PLR0124  # NaN


def _spoken(column: Column, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Its cells go as words: yes and no would be boxes to tick, and the largest numbers errors."""
    if column.kind != "size":
        return column.kind == "yesno"
    return any(abs(row.get(column.key) or 0) >= EXACT for row in rows)


def _config(column: Column, *, text: bool) -> Any:
    numeric = column.kind in {"count", "number", "signed", "share", "span", "size"}
    kind = st.column_config.NumberColumn if numeric and column.kind != "span" and not text else st.column_config.Column
    return kind(column.label, width=column.width, help=column.help or None, alignment="right" if numeric else None)


def _style(marks: Mapping[str, Mark], value: Any) -> str:
    """How a cell whose words mean something is written."""
    kind = marks.get(str(value), "")
    colours = palette("dark" if dark() else "light")
    return f"color: {colours[kind]}; font-weight: 600" if kind in colours else ""


def exports(here: Here, told: Sheet) -> None:
    """A menu to take away what is on screen: each table as CSV, everything as JSON or as one HTML file. Each is in the access log."""
    words = here.words
    with st.popover(words("take_away"), width="content"):
        for one in told.tables:
            _button(here, f"{one.title or one.name} (CSV)", f"{here.page}-{one.name}.csv", "text/csv", partial(csv_of, one))
        _button(here, "JSON", f"{here.page}.json", "application/json", lambda: json_of(told, here.about()))
        _button(here, words("html_file"), f"{here.page}.html", "text/html", lambda: html_of(told, words, here.about()))


def _button(here: Here, label: str, name: str, mime: str, make: Callable[[], bytes]) -> None:
    def taken() -> bytes:
        saw(here.root, "export", name, by=here.visitor.key)
        return make()

    st.download_button(
        plain(label),
        data=taken,
        file_name=f"{here.root.name}-{name}",
        mime=mime,
        on_click="ignore",
        key=f"take-{name}",
        type="tertiary",
    )
