"""A second opinion on rows: the file that people fill in, and how far answers agree, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.sheet import Column, Table
from app.words import Words
from loopwright.labelling import Labels, Queue, agreements

__all__ = ["agreement", "queue_table"]


def queue_table(words: Words, found: Queue) -> Table:
    """The file that people fill in, as a table; its last column is theirs."""
    columns = tuple(
        Column(key=key, label=words(f"column.{key}"), width="large" if key == "answer" else None)
        for key in ("id", "task", "prompt", "answer")
    )
    rows = [{**row, "label": ""} for row in found.rows]
    return Table(
        name="labels", title=words("queue"), columns=(*columns, Column(key="label", label=words("column.label"))), rows=rows
    )


def agreement(words: Words, people: Sequence[Labels], verdicts: Mapping[str, str]) -> Table:
    """Kappa of each person with the verifier, and of each two persons, over the rows that both judged."""
    rows = [
        {
            "one": found.one, "other": found.other, "n": found.n, "unsure": found.unsure, "unknown": found.unknown,
            "same": found.same / found.n if found.n else None,
            **({"value": score.value, "low": score.low, "high": score.high, "method": score.method} if (score := found.kappa) else {"method": words("no_kappa")}),
        }
        for found in agreements(people, verdicts, words("verifier"))
    ]  # fmt: skip
    columns = (
        Column(key="one", label=words("agree.one")), Column(key="other", label=words("agree.other")), Column(key="n", label="n", kind="count"),
        Column(key="same", label=words("agree.same"), kind="share"), Column(key="value", label="\u03ba", kind="number", digits=2),
        Column(key="low", label=words("agree.low"), kind="number", digits=2), Column(key="high", label=words("agree.high"), kind="number", digits=2),
        Column(key="unsure", label=words("agree.unsure"), kind="count"), Column(key="unknown", label=words("agree.unknown"), kind="count"),
        Column(key="method", label=words("agree.method")),
    )  # fmt: skip
    return Table(name="agreement", title=words("agree"), columns=columns, rows=rows, note=words("agree_note"))
