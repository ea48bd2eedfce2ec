"""What a loop has used up, against its budgets and against the thresholds that laws name; how each number is known stands beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.sheet import Column, Table
from app.words import Words
from loopwright.budgets import Line, Used, lines
from loopwright.policy import Budgets

__all__ = ["THRESHOLDS", "budget_table", "threshold_table"]

THRESHOLDS: Mapping[str, float] = {"gpai": 1e23, "systemic": 1e25, "frontier": 1e26}
"""FLOP: Commission guidelines of July 2025 (par. 17), AI Act Art. 51(2), California SB 53 and New York RAISE."""
_RECENT = 20


def budget_table(words: Words, budgets: Budgets | None, used: Used, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Every budget: used, limit, share, and how many more cycles it allows at the pace of the last ones."""
    told = lines(budgets or Budgets(), used)
    closed = [row for row in rows if row["closed_at"] and row["prev"]][-_RECENT:]
    columns = (
        Column(key="what", label=words("column.what")), Column(key="used", label=words("column.used"), kind="size"), Column(key="unit", label=words("column.unit"), width="small"),
        Column(key="limit", label=words("column.limit"), kind="size"), Column(key="share", label=words("column.share"), kind="share", digits=1),
        Column(key="left", label=words("column.left"), kind="count", help=words("left_help")), Column(key="method", label=words("column.method"), width="large"),
    )  # fmt: skip
    found = [
        {
            "what": words.named("budget", line.name), "used": line.used, "unit": line.unit, "limit": line.limit, "method": line.method,
            "share": line.used / line.limit if line.limit else None, "left": _left(line, used, len(closed)),
        }
        for line in told
    ]  # fmt: skip
    missing = [words.named("budget", name) for name in ("energy_kwh", "money") if name not in {line.name for line in told}]
    note = words("budget_note", n=words.count(len(closed)))
    if missing:
        note += " " + words("budget_missing", what=", ".join(missing))
    return Table(name="budget", title=words("budget"), columns=columns, rows=found, note=note)


def _left(line: Line, used: Used, recent: int) -> int | None:
    """Cycles until the limit, were each to use what the mean one has used so far."""
    if line.limit is None or not used.cycles or not recent or not line.used:
        return None
    return int(max(0.0, line.limit - line.used) / (line.used / used.cycles))


def threshold_table(words: Words, used: Used) -> Table:
    """The loop's FLOP beside the thresholds, as shares. Which of them applies is a legal question, and is not answered."""
    columns = (
        Column(key="what", label=words("column.threshold"), width="large"), Column(key="flop", label="FLOP", kind="size"),
        Column(key="used", label=words("column.used"), kind="size"), Column(key="share", label=words("column.share_of"), kind="size"),
    )  # fmt: skip
    rows = [
        {"what": words(f"threshold.{name}"), "flop": limit, "used": used.flop, "share": used.flop / limit * 100}
        for name, limit in THRESHOLDS.items()
    ]
    return Table(name="thresholds", title=words("thresholds"), columns=columns, rows=rows, note=words("threshold_note"))
