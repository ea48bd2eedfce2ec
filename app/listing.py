"""A list that things are chosen from: a real table, drawn soon, with links, boxes to tick and heads that sort. What it shows it is told as text.

Streamlit's own grid is drawn on a canvas after 1.7 MB of modules; this one is there at once, and can be read aloud, searched, copied and worked by keyboard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from app.sheet import Column, Table, shown
from app.words import NOTHING, Words

__all__ = ["Sorting", "cells", "listing"]

_PARTS = Path(__file__).resolve().parent / "parts"
_WORDS = {"text", "digest", "time", "yesno"}
"""Kinds of columns that are read as words, from the left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorting:
    """How the rows are ordered, and how else they can be."""

    by: str
    down: bool
    codes: Mapping[str, str]
    """Of columns that can be sorted by: what to ask for."""
    ask: Callable[[str], None]
    """Called with such a code."""


@cache
def _component() -> Any:
    css, js = ((_PARTS / f"listing.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    return st.components.v2.component("loopwright_listing", html='<div class="listing"></div>', css=css, js=js)


def cells(words: Words, told: Table) -> list[list[tuple[str, str]]]:
    """Each row's cells as they are read, with how each stands."""
    writers = [(column, shown(words, column)) for column in told.columns]
    return [[_cell(column, write, row.get(column.key)) for column, write in writers] for row in told.rows]


def _cell(column: Column, write: Callable[[Any], str], value: Any) -> tuple[str, str]:
    text = NOTHING if value is None else write(value)
    return text, column.marks.get(text, "")


def listing(
    words: Words, told: Table, names: Sequence[str], sorting: Sorting, *, key: str, address: Callable[[str], str], most: int
) -> tuple[list[str], str | None]:
    """Draw it; the names that are ticked, at most so many, and the one whose link was followed just now.

    ``names``: of the rows, in order. ``address``: where a row's first cell leads, for who opens it beside.
    """
    if not told.rows:
        st.text(words("nothing_here"))
        return [], None

    def sorted_by() -> None:
        if code := getattr(st.session_state.get(key), "sort", None):
            sorting.ask(str(code))

    data = {
        "columns": [_head(column, sorting) for column in told.columns],
        "rows": cells(words, told),
        "names": list(names),
        "links": [address(name) for name in names],
        "most": most,
        "words": {name: words(f"listing.{name}") for name in ("table", "choose", "full")},
    }
    found: Any = _component()(
        key=key, data=data, on_chosen_change=lambda: None, on_open_change=lambda: None, on_sort_change=sorted_by
    )
    chosen = [name for name in found.chosen or () if name in names][:most]
    return chosen, found.open if found.open in names else None


def _head(column: Column, sorting: Sorting) -> Mapping[str, Any]:
    code = sorting.codes.get(column.key, "")
    stands = ("descending" if sorting.down else "ascending") if code and code == sorting.by else ""
    return {
        "label": column.label,
        "right": column.kind not in _WORDS,
        "wide": column.width == "large",
        "sort": code,
        "stands": stands,
    }
