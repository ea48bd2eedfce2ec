"""The steps between a proposed row and an accepted one, as columns. Each refuses some rows, and the first reason stays.

The frame is kept in the order (sample, row), so that of several equal or surplus rows the one with the smallest sample
index remains, wherever and however often this runs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import polars as pl

from loopwright.domains.contamination import FEWEST_BREAKS, contaminated, suspects
from loopwright.plugins import Alphabet, Domain, LearnsSome
from loopwright.store.tables import content_id
from loopwright.types import Task, digest_bytes

__all__ = [
    "UNTRIED",
    "Stated",
    "beside",
    "clean_text",
    "content_keys",
    "curriculum",
    "known_tasks",
    "levels_of",
    "limit",
    "match_tasks",
    "refuse",
    "refuse_duplicates",
    "refuse_recalled",
    "refuse_unlearnable",
    "stated_tasks",
    "well_formed",
]

UNTRIED: Mapping[str, int] = {"tasks": 0, "samples": 0, "passed": 0, "rate": 0}
"""A level without samples in a cycle: it stays in the curriculum with the least share instead of leaving it for good."""

_NO_PLAIN_WORD = "[^0-9A-Za-z_]"
"""Every character that may end a word, and more: what counts as a letter elsewhere is for Python to say."""

Stated = Mapping[str, Task]
"""Prompt -> the task that it states, made by the domain itself."""


def refuse(frame: pl.DataFrame, condition: pl.Expr, reason: pl.Expr | str) -> pl.DataFrame:
    """Give a reason to the rows that meet a condition and have none yet."""
    said = pl.lit(reason) if isinstance(reason, str) else reason
    fresh = pl.col("reason").is_null() & condition
    return frame.with_columns(reason=pl.when(fresh).then(said).otherwise("reason"))


def beside(frame: pl.DataFrame, known: pl.DataFrame, on: list[str]) -> pl.DataFrame:
    """The frame with what is known by these columns (null where nothing is); a left join that copies no column of the frame."""
    return frame.hstack(frame.select(on).join(known, on=on, how="left", maintain_order="left").drop(on))


def stated_tasks(frame: pl.DataFrame, domain: Domain) -> Stated:
    """The tasks behind the prompts, from the domain and not from the proposals.

    Whoever makes proposals could otherwise bring along the checks by which they are judged.
    """
    tasks = {}
    for prompt in frame.filter(pl.col("reason").is_null())["prompt"].unique(maintain_order=True):
        try:
            tasks[prompt] = domain.task(prompt)
        except ValueError:
            continue  # refused as `unknown task`
    return tasks


def known_tasks(tasks: Stated) -> pl.DataFrame:
    """Tasks as columns, to join proposals with."""
    columns = {
        "prompt": pl.String,
        "stated": pl.String,
        "stated_level": pl.Int32,
        "signature": pl.String,
        "prompt_digest": pl.String,
    }
    rows = [(prompt, task.id, task.level, task.signature, digest_bytes(prompt.encode())) for prompt, task in tasks.items()]
    return pl.DataFrame(rows, schema=columns, orient="row")


def match_tasks(frame: pl.DataFrame, tasks: pl.DataFrame, heldout: Collection[str]) -> pl.DataFrame:
    """Refuse rows whose task does not exist, is not the one it says, or behaves like a task of the gate or sealed suite."""
    held = pl.Series(sorted(heldout), dtype=pl.String)
    frame = beside(frame, tasks.with_columns(held=pl.col("signature").is_in(held.implode())), ["prompt"])
    frame = refuse(frame, pl.col("stated").is_null(), "unknown task")
    frame = refuse(frame, (pl.col("stated") != pl.col("task")) | (pl.col("stated_level") != pl.col("level")), "task differs")
    return refuse(frame, pl.col("held").fill_null(value=False), "held out").drop("stated", "stated_level", "held")


def clean_text(frame: pl.DataFrame, held: Mapping[str, str]) -> pl.DataFrame:
    """Refuse rows that hold text of the gate or sealed suite (`loopwright.domains.contamination`)."""
    if not held:
        return frame
    asked = frame.lazy().filter(pl.col("reason").is_null())
    prompts = [prompt for prompt in asked.select("prompt").unique().collect()["prompt"] if contaminated(prompt, "", held)]
    breaks = pl.col("answer").str.count_matches(_NO_PLAIN_WORD) >= FEWEST_BREAKS  # of other answers none can hold so many words
    answers = suspects(asked.filter(breaks).select("answer").unique().collect()["answer"], held)
    copied = pl.col("prompt").is_in(prompts) | pl.col("answer").is_in(list(answers))
    return refuse(frame, copied, "contaminated") if prompts or answers else frame


def well_formed(frame: pl.DataFrame) -> pl.DataFrame:
    """Refuse answers without text, and answers with control characters other than tab and line feed."""
    frame = refuse(frame, pl.col("answer").str.strip_chars() == "", "empty answer")
    return refuse(frame, pl.col("answer").str.contains(r"[\x00-\x08\x0B-\x1F\x7F]"), "malformed answer")


def refuse_unlearnable(frame: pl.DataFrame, family: object, alphabet: Alphabet) -> pl.DataFrame:
    """Refuse what the loop's own model has no tokens for; only a model elsewhere writes such rows."""
    if not isinstance(family, LearnsSome):
        return frame
    asked = frame.filter(pl.col("reason").is_null()).select("prompt", "answer").unique()
    lost = [pair for pair in asked.iter_rows() if not family.learnable(alphabet, *pair)]
    known = pl.DataFrame(lost, schema={"prompt": pl.String, "answer": pl.String}, orient="row")
    frame = frame.join(known.with_columns(lost=pl.lit(value=True)), on=["prompt", "answer"], how="left", maintain_order="left")
    return refuse(frame, pl.col("lost").is_not_null(), "not learnable").drop("lost")


def refuse_recalled(frame: pl.DataFrame, recalled: Collection[str]) -> pl.DataFrame:
    """Refuse rows that say what a recall left out (`loopwright.store.tables.content_id`)."""
    if not recalled:
        return frame
    said = pl.Series([content_id(*row) in recalled for row in frame.select("prompt", "answer").iter_rows()], dtype=pl.Boolean)
    return refuse(frame.with_columns(recalled=said), pl.col("recalled"), "recalled").drop("recalled")


def content_keys(rows: pl.LazyFrame) -> pl.LazyFrame:
    """What rows say as two numbers of 64 bits, ``one`` and ``two``: sixteen bytes an archived row, however long it is.

    True of this process alone: they are never kept.
    """
    said = pl.struct("prompt", "answer")
    return rows.select(one=said.hash(seed=1), two=said.hash(seed=2))


def refuse_duplicates(frame: pl.DataFrame, archive: pl.DataFrame) -> pl.DataFrame:
    """Refuse what repeats an earlier sample of this cycle, or a row (by its `content_keys`) of the archive."""
    first = pl.col("row").filter(pl.col("reason").is_null()).first().over("task", "answer")
    frame = refuse(frame, pl.col("row") != first, "duplicate in cycle")
    asked = frame.lazy().filter(pl.col("reason").is_null())
    keys = pl.concat([asked.select("row"), content_keys(asked)], how="horizontal").collect()
    known = keys.join(archive, on=["one", "two"], how="semi")["row"]
    return refuse(frame, pl.col("row").is_in(known.implode()), "duplicate in archive")


def limit(frame: pl.DataFrame, per_task: int) -> pl.DataFrame:
    """Refuse what is left beyond ``per_task`` rows of a task."""
    return refuse(frame, pl.col("reason").is_null().cum_sum().over("task") > per_task, "over per task")


def levels_of(frame: pl.DataFrame) -> pl.DataFrame:
    """Tasks, samples and passed samples by level, over all rows that were ``tried``. All rows of a task are in one frame."""
    passed = (pl.col("status") == "PASS").fill_null(value=False)
    return frame.filter("tried").group_by("level").agg(tasks=pl.col("task").n_unique(), samples=pl.len(), passed=passed.sum())


def curriculum(levels: Sequence[pl.DataFrame]) -> dict[str, dict[str, Any]]:
    """Tasks, samples, passed samples and their rate by level (from `levels_of`): the next tasks are drawn by it."""
    summed = pl.concat(levels).group_by("level").agg(pl.col("tasks", "samples", "passed").sum())
    rates = summed.with_columns(rate=pl.col("passed") / pl.col("samples")).sort("level")
    return {str(row.pop("level")): row for row in rates.to_dicts()}
