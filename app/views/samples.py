"""Answers of a cycle's model to the gate's tasks, paired with its parent's. The sealed suite is never opened here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.sheet import Column, Mark, Table
from app.words import Words
from loopwright.errors import IntegrityError, LoopwrightError
from loopwright.ledger.fold import CycleRecord
from loopwright.trace.rows import checked_table
from loopwright.types import Artifact

if TYPE_CHECKING:
    import polars as pl

__all__ = ["CHANGES", "ROWS", "Samples", "read_samples", "sample_table"]

ROWS = 25
CHANGES = ("gained", "lost", "both", "neither")


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """One page of answers."""

    rows: Sequence[Mapping[str, Any]] = ()
    """``task level prompt answer status passed``, and of the parent ``parent_answer parent_status parent_passed``."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Tasks by what changed, over all."""
    total: int = 0
    """Rows that the filter lets through."""
    isolation: Mapping[str, int] = field(default_factory=dict)
    """Runs by isolation level, as the evaluate phase counted them."""
    why: str = ""
    """Why there are none."""
    command: str = ""


def read_samples(root: Path, record: CycleRecord, parent: CycleRecord | None, change: str, level: str, page: int) -> Samples:
    """The page that is asked for, from tables whose bytes are those of the record."""
    try:
        table = _paired(root, record, parent)
    except LoopwrightError as error:
        return Samples(why=error.message, command=error.next_step)
    except (OSError, KeyError, ValueError) as error:
        return Samples(why=str(error), command=f"dvc checkout cycles/{record.cycle}/evaluation.dvc")
    counts = dict(table.group_by("change").len().iter_rows())
    if change:
        table = table.filter(table["change"] == change)
    if level:
        table = table.filter(table["level"] == int(level))
    rows = table.sort("level", "task").slice((page - 1) * ROWS, ROWS).to_dicts()
    done = record.phases["evaluate"].summary
    return Samples(rows=rows, counts=counts, total=table.height, isolation=dict(done.get("isolation", {})))


def _paired(root: Path, record: CycleRecord, parent: CycleRecord | None) -> pl.DataFrame:
    import polars as pl

    ours = _answers(root, record)
    theirs = _answers(root, parent) if parent and parent.artifact("evaluation") else ours.clear()
    table = ours.join(theirs.drop("level"), on="task", how="left", suffix="_parent").join(
        _prompts(root, record), on="task", how="left"
    )
    now, before = pl.col("passed"), pl.col("passed_parent").fill_null(value=False)
    change = (
        pl.when(now & ~before).then(pl.lit("gained")).when(~now & before).then(pl.lit("lost")).when(now).then(pl.lit("both"))
    )
    return table.with_columns(change=change.otherwise(pl.lit("neither")))


def _answers(root: Path, record: CycleRecord) -> pl.DataFrame:
    import polars as pl

    evaluation = record.artifact("evaluation")
    if evaluation is None:
        raise IntegrityError(f"{record.cycle} has no evaluation", "loopwright run")
    return pl.read_parquet(
        checked_table(root, evaluation, "gate.parquet"), columns=["task", "level", "answer", "status", "passed"]
    )


def _prompts(root: Path, record: CycleRecord) -> pl.DataFrame:
    import polars as pl

    told = [one for one in record.phases["evaluate"].inputs if one["path"].endswith("/suites")]
    if not told:
        return pl.DataFrame(schema={"task": pl.String, "prompt": pl.String})
    suites = Artifact(kind="suites", digest=told[0]["digest"], path=told[0]["path"])
    return pl.read_parquet(checked_table(root, suites, "gate.parquet"), columns=["id", "prompt"]).rename({"id": "task"})


def sample_table(words: Words, told: Samples) -> Table:
    """The answers as a table; what a model wrote stays text."""
    marks: Mapping[str, Mark] = {words("change.gained"): "good", words("change.lost"): "bad"}
    columns = (
        Column(key="task", label=words("sample.task")), Column(key="level", label=words("sample.level"), kind="count"), Column(key="prompt", label=words("sample.prompt"), width="medium"),
        Column(key="change", label=words("sample.change"), marks=marks), Column(key="status", label=words("sample.status")), Column(key="answer", label=words("sample.answer"), width="medium"),
        Column(key="status_parent", label=words("sample.status_parent")), Column(key="answer_parent", label=words("sample.answer_parent"), width="medium"),
    )  # fmt: skip
    rows = [{**row, "change": words(f"change.{row['change']}")} for row in told.rows]
    levels = ", ".join(f"{name} {words.count(count)}" for name, count in sorted(told.isolation.items())) or words(
        "not_measured"
    )
    return Table(
        name="samples", title="", columns=columns, rows=rows, note=words("sample.note", levels=levels), total=told.total
    )
