"""Rows for a second opinion: which ones, the file that people fill in, and how far their answers agree. Pure functions.

A person sees tasks and answers without the verifier's verdict. What comes back is counted here and kept nowhere: it is no entry of
the record, and admits or refuses no row.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

from app.sheet import Column, Table
from app.words import Words
from loopwright.types import Score

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ANSWERS", "METHOD", "MOST", "Labels", "Queue", "agreement", "kappa", "labels_of", "queue", "queue_table"]

MOST = 60
"""Rows of a file: about an hour of a person's time."""
ANSWERS = ("right", "wrong", "unsure")
METHOD = "Cohen's kappa, large-sample 95 %"
_UNCERTAIN = "not repeatable"
_FAILED = "check failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """What a person is asked about."""

    cycle: str
    rows: Sequence[Mapping[str, Any]] = ()
    """``id``, ``task``, ``prompt``, ``answer``; in an order that tells nothing."""
    verdicts: Mapping[str, str] = field(default_factory=dict)
    """Of every judged row of the cycle: ``right`` or ``wrong``, as the verifier has it. Never in the file."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Rows in the file by why they are in it: ``uncertain``, ``accepted``, ``failed``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """One person's answers, as a file has them."""

    name: str
    answers: Mapping[str, str] = field(default_factory=dict)
    problems: Sequence[str] = ()
    """Lines that are no answers, in words."""


def queue(accepted: pl.LazyFrame, refused: pl.LazyFrame, cycle: str) -> Queue:
    """All rows that the verifier judged otherwise the second time, at most a third of the file; then as many accepted ones as failed ones.

    Which ones follows from their ids alone, so that everybody gets the same file.
    """
    import polars as pl

    text = ["id", "task", "prompt", "answer"]
    judged = {
        "uncertain": refused.filter(pl.col("reason") == _UNCERTAIN).select(text),
        "accepted": accepted.select(text),
        "failed": refused.filter(pl.col("reason").str.ends_with(_FAILED)).select(text),
    }
    ids = {name: sorted(frame.select("id").unique().collect()["id"], key=_shuffled) for name, frame in judged.items()}
    first = ids["uncertain"][: MOST // 3]
    each = (MOST - len(first)) // 2
    chosen = {"uncertain": first, "accepted": ids["accepted"][:each], "failed": ids["failed"][:each]}
    rows = [
        row
        for name, frame in judged.items()
        for row in frame.filter(pl.col("id").is_in(chosen[name])).unique("id").collect().to_dicts()
    ]
    verdicts = dict.fromkeys(ids["failed"], "wrong") | dict.fromkeys(ids["accepted"], "right")
    return Queue(
        cycle=cycle, rows=sorted(rows, key=lambda row: _shuffled(row["id"])), verdicts=verdicts, counts={name: len(found) for name, found in chosen.items()}
    )  # fmt: skip


def _shuffled(name: str) -> str:
    return hashlib.sha256(f"label:{name}".encode()).hexdigest()


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


def labels_of(name: str, data: bytes) -> Labels:
    """What somebody answered: CSV with ``id`` and ``label``, or JSON lines with both. The first answer about a row counts."""
    answers: dict[str, str] = {}
    problems = []
    try:
        for number, (row, label) in enumerate(_lines(data.decode("utf-8-sig")), 1):
            said = label.strip().lower()
            if said in ANSWERS and row:
                answers.setdefault(row.strip().removeprefix("'"), said)
            elif said:
                problems.append(f"{number}: {said[:40]!r}")
    except (UnicodeDecodeError, ValueError, AttributeError, csv.Error, RecursionError) as error:
        problems.append(str(error)[:200])
    return Labels(name=name, answers=answers, problems=problems[:20])


def _lines(text: str) -> Iterator[tuple[str, str]]:
    if text.lstrip().startswith("{"):
        for line in filter(str.strip, text.splitlines()):
            told = json.loads(line)
            yield str(told.get("id") or ""), str(told.get("label") or "")
        return
    for row in csv.DictReader(io.StringIO(text)):
        yield row.get("id") or "", row.get("label") or ""


def agreement(words: Words, people: Sequence[Labels], verdicts: Mapping[str, str]) -> Table:
    """Kappa of each person with the verifier, and of each two persons, over the rows that both judged."""
    machine = Labels(name=words("verifier"), answers=verdicts)
    rows = []
    for one, other in [*((person, machine) for person in people), *combinations(people, 2)]:
        pairs = [(one.answers[key], other.answers[key]) for key in one.answers if key in other.answers]
        sure = [pair for pair in pairs if "unsure" not in pair]
        score = kappa(sure)
        told = (
            {"value": score.value, "low": score.low, "high": score.high, "method": score.method}
            if score
            else {"method": words("no_kappa")}
        )
        rows.append({
            "one": one.name, "other": other.name, "n": len(sure), "unsure": len(pairs) - len(sure), "unknown": len(one.answers) - len(pairs),
            "same": sum(a == b for a, b in sure) / len(sure) if sure else None, **told,
        })  # fmt: skip
    columns = (
        Column(key="one", label=words("agree.one")), Column(key="other", label=words("agree.other")), Column(key="n", label="n", kind="count"),
        Column(key="same", label=words("agree.same"), kind="share"), Column(key="value", label="\u03ba", kind="number", digits=2),
        Column(key="low", label=words("agree.low"), kind="number", digits=2), Column(key="high", label=words("agree.high"), kind="number", digits=2),
        Column(key="unsure", label=words("agree.unsure"), kind="count"), Column(key="unknown", label=words("agree.unknown"), kind="count"),
        Column(key="method", label=words("agree.method")),
    )  # fmt: skip
    return Table(name="agreement", title=words("agree"), columns=columns, rows=rows, note=words("agree_note"))


def kappa(pairs: Sequence[tuple[str, str]]) -> Score | None:
    """Cohen's kappa (Educ. Psychol. Meas. 20 (1960) 37) with the large-sample interval of Fleiss, Cohen and Everitt (Psychol. Bull. 72

    (1969) 323); None where all answers are one and the same, or there are none: then agreement beyond chance is not defined.
    """
    n = len(pairs)
    left, right = (Counter(pair[side] for pair in pairs) for side in (0, 1))
    names = sorted(left.keys() | right.keys())
    if n == 0 or len(names) < 2:
        return None
    p = {pair: count / n for pair, count in Counter(pairs).items()}
    a, b = ({name: count[name] / n for name in names} for count in (left, right))
    seen, chance = sum(p.get((name, name), 0.0) for name in names), sum(a[name] * b[name] for name in names)
    value = (seen - chance) / (1 - chance)
    same = sum(p.get((name, name), 0.0) * (1 - (a[name] + b[name]) * (1 - value)) ** 2 for name in names)
    apart = (1 - value) ** 2 * sum(
        p.get((one, other), 0.0) * (b[one] + a[other]) ** 2 for one in names for other in names if one != other
    )
    spread = max(0.0, same + apart - (value - chance * (1 - value)) ** 2)
    half = 1.959963984540054 * math.sqrt(spread / n) / (1 - chance)
    return Score(value=value, low=max(-1.0, value - half), high=min(1.0, value + half), n=n, method=METHOD)
