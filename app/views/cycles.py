"""The table of cycles as plain values: filtered, sorted and paged in SQL; two to four of them beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.sheet import Column, Mark, Notice, Sheet, Table
from app.views.changes import Change, changes_between, changes_table, gain_table
from app.words import Words
from loopwright.index import Filter, Index, Page

if TYPE_CHECKING:
    from app.frame import Here

__all__ = [
    "COLUMNS",
    "DECISIONS",
    "DEFAULT",
    "HEADS",
    "MOST",
    "ROWS",
    "SORTED",
    "Asked",
    "View",
    "columns_of",
    "marks_of",
    "read",
    "view_of",
]

ROWS = 50
"""Of one page."""
MOST = 4
"""Cycles that are compared at once."""
DECISIONS = ("promote", "reject", "hold", "halt", "open")
DEFAULT = (
    "cycle",
    "decision",
    "sealed",
    "sealed_interval",
    "gain",
    "gain_interval",
    "accepted",
    "wall_seconds",
    "lights",
    "reasons",
)
COLUMNS: Mapping[str, tuple[Any, ...]] = {
    "cycle": ("text",), "decision": ("text",), "parent": ("text",), "opened_at": ("time",), "closed_at": ("time",),
    "sealed": ("number",), "sealed_interval": ("text",), "gate": ("number",), "gate_interval": ("text",),
    "gain": ("signed",), "gain_interval": ("text",), "p_value": ("number", 4), "accepted": ("count",), "refused": ("count",),
    "archive": ("count",), "tokens": ("count",), "seconds": ("span",), "wall_seconds": ("span",), "kwh": ("size",),
    "lights": ("text",), "failures": ("count",), "seed": ("text",), "recipe": ("digest",), "generator": ("digest",),
    "judge": ("digest",), "plan": ("digest",), "leaf": ("count",), "reasons": ("text",),
}  # fmt: skip
"""Kind, and decimals where not three."""
SORTED = ("n", "sealed", "gate", "gain", "p_value", "accepted", "refused", "tokens", "wall_seconds", "failures", "stops")
HEADS: Mapping[str, str] = {"cycle": "n", "lights": "stops", **{name: name for name in SORTED if name in COLUMNS}}
"""Columns that can be sorted by, and how that is asked for."""
_MARKS: Mapping[str, Mark] = {"promote": "good", "hold": "wait", "halt": "bad", "failed": "bad"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the address asks for."""

    where: Filter = field(default_factory=Filter)
    sort: str = "n"
    descending: bool = True
    page: int = 1
    columns: Sequence[str] = DEFAULT
    compare: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything on the page."""

    sheet: Sheet
    total: int
    """Cycles that the filter lets through."""
    all: int
    pages: int
    names: tuple[str, ...]
    """Of the rows, in order."""
    compared: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    """Names that were asked for and are no cycles."""
    changes: tuple[Change, ...] = ()


def read(index: Index, here: Here, asked: Asked) -> View:
    """Ask the record."""
    found = index.page(asked.where, sort=asked.sort, descending=asked.descending, start=(asked.page - 1) * ROWS, limit=ROWS)
    compared = index.told_of(asked.compare[:MOST])
    changes = changes_between(index, here.root, [row["cycle"] for row in compared]) if len(compared) > 1 else ()
    return view_of(here.words, asked, found, dict(index.told), index.cycles(), compared, changes)


def view_of(
    words: Words,
    asked: Asked,
    found: Page,
    told: Mapping[str, Any],
    cycles: int,
    compared: Sequence[Mapping[str, Any]],
    changes: Sequence[Change],
) -> View:
    """The page for what the record tells."""
    there = tuple(row["cycle"] for row in compared)
    tables = [_cycles(words, asked, found, told["champion"])]
    if len(there) > 1:
        tables += [_beside(words, compared), gain_table(words, changes), changes_table(words, changes)]
    notices = () if cycles else (Notice(kind="info", title=words("no_cycle"), command="loopwright run"),)
    return View(
        sheet=Sheet(title=words("title", name=told["name"]), notices=notices, tables=tables), total=found.total, all=cycles,
        pages=max(1, -(-found.total // ROWS)), names=tuple(row["cycle"] for row in found.rows), compared=there,
        missing=tuple(name for name in asked.compare if name not in there), changes=tuple(changes),
    )  # fmt: skip


def columns_of(words: Words, names: Sequence[str]) -> tuple[Column, ...]:
    """Columns by name, the cycle's first."""
    found = []
    for name in dict.fromkeys(("cycle", *names)):
        kind, *digits = COLUMNS[name]
        more = {"digits": digits[0]} if digits else {}
        marks = marks_of(words) if name == "decision" else {}
        found.append(
            Column(
                key=name,
                label=words(f"column.{name}"),
                kind=kind,
                width="large" if name == "reasons" else None,
                marks=marks,
                **more,
            )
        )
    return tuple(found)


def marks_of(words: Words) -> Mapping[str, Mark]:
    """How decisions are coloured, by their words."""
    return {**{words(f"decision.{code}"): mark for code, mark in _MARKS.items()}, words("champion_now"): "good"}


def _cycles(words: Words, asked: Asked, found: Page, champion: str | None) -> Table:
    rows = [_row(words, row, champion) for row in found.rows]
    return Table(name="cycles", title="", columns=columns_of(words, asked.columns), rows=rows, total=found.total)


def _row(words: Words, row: Mapping[str, Any], champion: str | None) -> Mapping[str, Any]:
    code = row["decision"] or ("failed" if row["failures"] and row["closed_at"] is None else "open")
    said = (
        words("champion_now")
        if row["cycle"] == champion
        else words.named("decision", code)
        if code in {*DECISIONS, "failed"}
        else words("decision.unknown")
    )
    told = {name: row.get(name) for name in COLUMNS}
    for suite in ("sealed", "gate", "gain"):
        told[f"{suite}_interval"] = _interval(words, row, suite)
    return {
        **told,
        "decision": said,
        "seed": str(row["seed"]),
        "lights": _lights(words, row),
        "reasons": "; ".join(row["reasons"]),
    }


def _interval(words: Words, row: Mapping[str, Any], suite: str) -> str | None:
    if row[suite] is None:
        return None
    low, high = (words.number(row[f"{suite}_{end}"], signed=suite == "gain") for end in ("low", "high"))
    return words("interval", low=low, high=high, n=words.count(row[f"{suite}_n"]))


def _lights(words: Words, row: Mapping[str, Any]) -> str | None:
    if row["decision"] is None:
        return None
    parts = [words(f"{kind}_count", n=words.count(row[kind])) for kind in ("stops", "warns") if row[kind]]
    return ", ".join(parts) or words("all_fine")


def _beside(words: Words, compared: Sequence[Mapping[str, Any]]) -> Table:
    """Figures as rows, cycles as columns."""
    lines = (
        ("decision", lambda row: words.named("decision", row["decision"] or "open")), ("parent", lambda row: row["parent"] or words("none")),
        ("sealed", lambda row: words.score(row["sealed"])), ("gate", lambda row: words.score(row["gate"])), ("gain", lambda row: words.score(row["gain"], signed=True)),
        ("accepted", lambda row: words.count(row["accepted"])), ("refused", lambda row: words.count(sum(row["refused"].values()) if row["refused"] else None)),
        ("archive", lambda row: words.count((row["archive"] or {}).get("rows"))), ("tokens", lambda row: words.count(row["tokens"])),
        ("wall_seconds", lambda row: words.span(row["wall_seconds"])), ("reasons", lambda row: "; ".join(row["reasons"])),
    )  # fmt: skip
    rows = [{"what": words(f"column.{name}"), **{row["cycle"]: write(row) for row in compared}} for name, write in lines]
    columns = (
        Column(key="what", label=""),
        *(Column(key=row["cycle"], label=row["cycle"], width="medium") for row in compared),
    )
    return Table(name="beside", title=words("beside"), columns=columns, rows=rows)
