"""Rows of a cycle, accepted and refused with their reasons, as plain values: filtered and paged in Parquet, so that only a page is read.

A table is read after its bytes were compared with the record. What a model wrote stays text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.sheet import Column, Notice, Sheet, Table
from app.views.decided import signers_of
from app.words import Words
from loopwright.errors import IntegrityError, LoopwrightError
from loopwright.index import Index
from loopwright.labelling import Labels, Queue, queue_of, signed
from loopwright.ledger.fold import CycleRecord
from loopwright.trace.rows import checked_table

if TYPE_CHECKING:
    import polars as pl

    from app.frame import Here

__all__ = ["ROWS", "TABLES", "TABS", "Asked", "View", "read"]

ROWS = 25
TABS = ("accepted", "refused", "label")
TABLES: Mapping[str, str] = {"accepted": "rows.parquet", "refused": "refused.parquet"}
_SHOWN = ("id", "level", "prompt", "answer", "origin", "licence", "reason", "detail")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the address asks for."""

    cycle: str = ""
    """Empty: the newest that has rows."""
    tab: str = TABS[0]
    reason: str = ""
    level: str = ""
    origin: str = ""
    """``human`` or ``model``."""
    text: str = ""
    """A part of prompt or answer, or a whole id."""
    page: int = 1
    row: str = ""
    """The row to show whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything on the page."""

    sheet: Sheet
    cycle: str = ""
    before: str | None = None
    after: str | None = None
    total: int = 0
    """Rows that the filter lets through."""
    rows: Sequence[Mapping[str, Any]] = ()
    """Of the page, whole."""
    one: Mapping[str, Any] | None = None
    """The row that the address asks for."""
    made_by: str = ""
    """The model that wrote it, as an address of Lineage."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    levels: Sequence[str] = ()
    queue: Queue | None = None
    signed: Sequence[Labels] = ()
    """What persons signed of the queue's rows."""
    people: Mapping[str, str] = field(default_factory=dict)
    """Key ids of enrolled persons with names: who can sign."""

    @property
    def pages(self) -> int:
        """How many there are."""
        return max(1, -(-self.total // ROWS))


def read(index: Index, here: Here, asked: Asked) -> View:
    """Ask the record, and the cycle's tables."""
    words = here.words
    name = asked.cycle or next((row["cycle"] for row in reversed(index.latest(20)) if row["accepted"] is not None), "")
    if not name:
        return View(
            sheet=Sheet(
                title=words.of("common")("page.data"),
                notices=(Notice(kind="info", title=words("nothing"), command="loopwright run"),),
            )
        )
    record = index.records([name]).get(name)
    if record is None:
        gone = Notice(kind="error", title=words.of("cycle")("gone", cycle=name), command="loopwright status")
        return View(sheet=Sheet(title=words.of("common")("page.data"), notices=(gone,)), cycle=name)
    before, after = index.beside(name)
    same: dict[str, Any] = {"cycle": name, "before": before, "after": after}
    try:
        if asked.tab == "label":
            state = index.state(name, more=("answer",))
            found, told = queue_of(here.root, record), signed(here.root, state, name)
            sheet = Sheet(title=words("title", cycle=name), facts={"queue": found.counts})
            return View(sheet=sheet, queue=found, signed=told, people=signers_of(here, state), **same)
        return _browsed(words, index, here.root, asked, record, same)
    except (LoopwrightError, OSError) as error:
        command = getattr(error, "next_step", f"dvc checkout cycles/{name}/accepted")
        why = Notice(kind="warning", title=words("not_here"), detail=getattr(error, "message", str(error)), command=command)
        return View(sheet=Sheet(title=words("title", cycle=name), notices=(why,)), **same)


def _scan(root: Path, record: CycleRecord, table: str) -> pl.LazyFrame:
    """A table of the cycle's shard, without reading it but to compare it."""
    import polars as pl

    shard = record.artifact("accepted")
    if shard is None:
        raise IntegrityError(f"{record.cycle} has no accepted rows yet", "loopwright run")
    try:
        return pl.scan_parquet(checked_table(root, shard, table), glob=False)
    except ValueError as error:  # the manifest names no such table
        raise IntegrityError(f"{shard.path} has no {table}", "`loopwright show` lists what a cycle made") from error


def _browsed(words: Words, index: Index, root: Path, asked: Asked, record: CycleRecord, same: Mapping[str, Any]) -> View:
    import polars as pl

    table = _scan(root, record, TABLES[asked.tab])
    columns = table.collect_schema().names()
    counts = {name: dict(table.group_by(name).len().collect().iter_rows()) for name in ("reason", "level") if name in columns}
    fitting = table.filter(*_filters(asked, columns))
    total = fitting.select(pl.len()).collect().item()
    rows = fitting.slice((asked.page - 1) * ROWS, ROWS).collect().to_dicts()
    one = next(iter(table.filter(pl.col("id") == asked.row).head(1).collect().to_dicts()), None) if asked.row else None
    drawn = _table(words, asked.tab, rows, total)
    reasons = dict(sorted(counts.get("reason", {}).items(), key=lambda pair: -pair[1]))
    return View(
        sheet=Sheet(title=words("title", cycle=record.cycle), tables=(drawn,), facts={"reasons": reasons}), total=total, rows=rows, one=one,
        made_by=_made_by(index, one["origin"]) if one else "", reasons=reasons, levels=[str(level) for level in sorted(counts["level"])], **same,
    )  # fmt: skip


def _filters(asked: Asked, columns: Sequence[str]) -> list[pl.Expr]:
    import polars as pl

    tests: list[pl.Expr] = []
    if asked.reason and "reason" in columns:
        tests.append(pl.col("reason") == asked.reason)
    if asked.level:
        tests.append(pl.col("level") == int(asked.level))
    if asked.origin:
        tests.append((pl.col("origin") == "human") == (asked.origin == "human"))
    if asked.text:
        inside = [pl.col(name).str.contains(asked.text, literal=True) for name in ("prompt", "answer")]
        tests.append(
            pl.any_horizontal(*inside, *(pl.col(name) == asked.text for name in ("id", "task"))).fill_null(value=False)
        )
    return tests


def _made_by(index: Index, origin: str) -> str:
    """The model whose digest a row bears, as Lineage is asked for it."""
    return origin if origin != "human" and index.telling(origin, 1).steps else ""


def _table(words: Words, name: str, rows: Sequence[Mapping[str, Any]], total: int) -> Table:
    more = (
        (Column(key="reason", label=words("reason")), Column(key="detail", label=words("column.detail")))
        if name == "refused"
        else ()
    )
    columns = (
        Column(key="id", label=words("column.id")), Column(key="level", label=words("level"), kind="count"), *more,
        Column(key="prompt", label=words("column.prompt"), width="medium"), Column(key="answer", label=words("column.answer"), width="large"),
        Column(key="origin", label=words("origin")), Column(key="licence", label=words("column.licence")),
    )  # fmt: skip
    shown = [
        {
            **{key: row.get(key) for key in _SHOWN},
            "reason": words.named("refusal", row["reason"]) if row.get("reason") else None,
            "origin": words("human") if row["origin"] == "human" else row["origin"].removeprefix("sha256:")[:12],
        }
        for row in rows
    ]
    return Table(name=name, title="", columns=columns, rows=shown, total=total)
