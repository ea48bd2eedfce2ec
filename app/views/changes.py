"""What differs between two cycles, as plain values: paired scores with intervals, configuration, code, environment, and on demand the rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.sheet import Column, Table
from app.words import Words
from loopwright.errors import LoopwrightError
from loopwright.index import Index
from loopwright.ledger.fold import CycleRecord
from loopwright.trace.diff import between
from loopwright.workspace import Workspace

__all__ = ["Change", "changes_between", "changes_table", "gain_table"]

AREAS = ("data", "configuration", "code", "environment")
DATA = ("proposals", "accepted", "archive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """From one cycle to another."""

    one: str
    other: str
    found: Mapping[str, Any]
    """`loopwright.trace.diff.between` and, as ``data``, digests that differ; empty where it could not be told."""
    why: str = ""
    """Why not."""


def changes_between(index: Index, root: Path, cycles: Sequence[str]) -> tuple[Change, ...]:
    """From the first of these cycles to each of the others."""
    return tuple(_change(index, root, cycles[0], other) for other in cycles[1:])


def _change(index: Index, root: Path, one: str, other: str) -> Change:
    following = [name for name in (index.beside(one)[1], index.beside(other)[1]) if name]
    state = index.state(one, other, *following)
    pair = [state.cycles[one], state.cycles[other]]
    entries = {statement.index: statement for name in (one, other) for statement in index.entries(name)}
    try:
        found = between(Workspace(root=root), state, pair, entries)
        return Change(one=one, other=other, found={**found, "data": dict(_data(pair))})
    except (LoopwrightError, OSError, KeyError) as error:
        return Change(one=one, other=other, found={}, why=getattr(error, "message", str(error)))


def _data(pair: Sequence[CycleRecord]) -> Iterator[tuple[str, Mapping[str, str | None]]]:
    for kind in DATA:
        said = {record.cycle: made.digest[7:19] if (made := record.artifact(kind)) else None for record in pair}
        if len(set(said.values())) > 1:
            yield kind, said


def gain_table(words: Words, changes: Sequence[Change]) -> Table:
    """Each pair's gain on each suite, over the tasks that both were scored on."""
    suites = [(change, suite, told) for change in changes for suite, told in change.found.get("scores", {}).items()]
    rows = [
        {
            "from": change.one, "to": change.other, "suite": words(f"suite.{suite}"), "gained": told.get("gained"), "lost": told.get("lost"),
            **{key: (told["gain"] or {}).get(key) for key in ("value", "low", "high", "n", "method")}, "why": told.get("why"),
        }
        for change, suite, told in suites
    ]  # fmt: skip
    rows += [{"from": change.one, "to": change.other, "why": change.why} for change in changes if change.why]
    label = words.of("cycles")
    columns = (
        Column(key="from", label=label("from_cycle")), Column(key="to", label=label("to_cycle")), Column(key="suite", label=words("suite")),
        *(Column(key=key, label=label(f"gain.{key}"), kind="signed") for key in ("value", "low", "high")),
        *(Column(key=key, label=label(f"gain.{key}"), kind="count") for key in ("n", "gained", "lost")),
        Column(key="method", label=label("gain.method")), Column(key="why", label=label("gain.why"), width="large"),
    )  # fmt: skip
    return Table(name="gains", title=label("gains"), columns=columns, rows=rows, note=label("gains_note"))


def changes_table(words: Words, changes: Sequence[Change]) -> Table:
    """Every key that differs, with both values as they are on the record."""
    rows = [row for change in changes for row in _rows(words, change)]
    label = words.of("cycles")
    columns = (
        Column(key="area", label=label("changed.area")), Column(key="what", label=label("changed.what"), width="medium"),
        Column(key="from", label=label("from_cycle")), Column(key="then", label=label("changed.then"), width="medium"),
        Column(key="to", label=label("to_cycle")), Column(key="now", label=label("changed.now"), width="medium"),
    )  # fmt: skip
    return Table(name="changes", title=label("changes"), columns=columns, rows=rows, note=label("changes_note"))


def _rows(words: Words, change: Change) -> Iterator[Mapping[str, Any]]:
    for area in AREAS:
        for what, values in change.found.get(area, {}).items():
            name = words.of("lineage").named("kind", what) if area == "data" else what
            told = {"area": words.of("cycles")(f"area.{area}"), "what": name, "from": change.one, "to": change.other}
            yield {**told, "then": _said(values[change.one]), "now": _said(values[change.other])}


def _said(value: Any) -> str | None:
    return None if value is None else str(value)
