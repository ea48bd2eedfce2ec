"""What a page shows, as plain values: notices, figures, tables, charts. Drawn by `app.draw`, taken away by `app.exports`.

Text of a record (reasons, messages, programs) may be model-written: it stays a plain value here, and neither draws as Markdown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from app.words import Words

__all__ = ["Chart", "Column", "Figure", "Kind", "Mark", "Notice", "Sheet", "Table", "shown"]

Kind = Literal["text", "count", "number", "signed", "share", "span", "time", "size", "digest", "yesno"]
Mark = Literal["", "good", "warn", "bad", "wait", "none"]
"""How something stands; always said in words as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something a person should know before the figures, and what to do about it."""

    kind: Literal["info", "success", "warning", "error"]
    title: str
    """Our own words."""
    detail: str = ""
    """Shown as it is: it may hold what a model or a library wrote."""
    command: str = ""
    """The next command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One box of a headline."""

    label: str
    value: str
    note: str = ""
    """How it is known: interval, n, measured or estimated."""
    mark: Mark = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table: where its value is, what it is called, how it is written."""

    key: str
    label: str
    kind: Kind = "text"
    digits: int = 3
    width: Literal["small", "medium", "large"] | int | None = None
    help: str = ""
    marks: Mapping[str, Mark] = field(default_factory=dict)
    """Of a text column: how a cell with these words stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows with named columns; values are plain (numbers stay numbers)."""

    name: str
    """Of the file that it is taken away as; also the widget's key."""
    title: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    note: str = ""
    """Our own words: what it does not show, how its numbers are made."""
    total: int | None = None
    """Rows there are, where only some are here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A Vega-Lite chart and what it shows in words."""

    name: str
    title: str
    chart: Any
    """An `altair` chart, its colours those of the reader's theme."""
    words: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A whole page. Pages that show more than this hold it beside their own values."""

    title: str
    notices: Sequence[Notice] = ()
    figures: Sequence[Figure] = ()
    charts: Sequence[Chart] = ()
    tables: Sequence[Table] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the JSON export has besides, for example the unrounded figures."""


def shown(words: Words, column: Column) -> Callable[[Any], str]:
    """How a value of this column is written."""
    by_kind: Mapping[str, Callable[[Any], str]] = {
        "count": words.count,
        "number": lambda value: words.number(value, column.digits),
        "signed": lambda value: words.number(value, column.digits, signed=True),
        "share": lambda value: words.share(value, column.digits if column.digits < 3 else 1),
        "span": words.span,
        "time": words.time,
        "size": words.size,
        "digest": lambda value: str(value).removeprefix("sha256:")[:12],
        "yesno": lambda value: words("yes" if value else "no"),
    }
    return by_kind.get(column.kind, str)
