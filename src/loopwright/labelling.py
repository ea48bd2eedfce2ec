"""A second opinion on rows that were judged: which ones, the file that people fill in, what they signed, and how far answers agree.

People, and a model that may be asked beside them, see tasks and answers without the verifier's verdict. What they say admits or
refuses no row: it measures the verifier. A person's signed file is an answer like those to the fields of a report, under the name `FIELD`.
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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.errors import UsageError
from loopwright.ledger.answers import file_bytes, history, words
from loopwright.ledger.fold import CycleRecord, LoopState
from loopwright.ledger.names import names_of
from loopwright.store.artifacts import check
from loopwright.store.tables import parts
from loopwright.types import Score

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "ANSWERS",
    "FIELD",
    "METHOD",
    "MOST",
    "Agreement",
    "Labels",
    "Queue",
    "agreements",
    "kappa",
    "labels_of",
    "queue",
    "queue_of",
    "signed",
]

FIELD = "labels"
"""Under which answers of this kind stand on the record; no document has such a field."""
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
    leaf: int | None = None
    """The entry, where a person signed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far two of them agree, over the rows that both judged."""

    one: str
    other: str
    n: int
    """Rows that both are sure of."""
    same: int
    unsure: int
    unknown: int
    """Rows of the first that the other did not judge."""
    kappa: Score | None


def queue_of(root: Path, record: CycleRecord) -> Queue:
    """The queue of a cycle's recorded rows.

    Raises:
        UsageError: the cycle has judged none.
        IntegrityError: a table on disk is not the recorded one.
    """
    import polars as pl

    accepted = record.artifact("accepted")
    if accepted is None:
        raise UsageError(f"{record.cycle} has judged no row yet", "`loopwright status`")
    check(root, accepted)
    rows, refused = (
        pl.scan_parquet(parts(root / accepted.path / name), glob=False) for name in ("rows.parquet", "refused.parquet")
    )
    return queue(rows, refused, record.cycle)


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


def signed(root: Path, state: LoopState, cycle: str) -> list[Labels]:
    """What persons signed of a cycle's rows: the newest of each. Files that were erased are left out.

    IntegrityError where a file is not what was signed.
    """
    newest = {answer.key: answer for answer in history(state.acts, FIELD, cycle)}
    names, found = names_of(root, state.roster), []
    for key, answer in newest.items():
        told = words(root, answer.digest) if answer.digest and answer.state == "statement" else None
        data = file_bytes(root, told.files[0]) if told and told.files else None
        if data is not None:
            one = labels_of(names.get(key, key), data)
            found.append(Labels(name=one.name, answers=one.answers, problems=one.problems, leaf=answer.index))
    return found


def agreements(people: Sequence[Labels], verdicts: Mapping[str, str], verifier: str) -> list[Agreement]:
    """Each with the verifier, and each two with one another."""
    machine = Labels(name=verifier, answers=verdicts)
    return [_agreement(*pair) for pair in (*((person, machine) for person in people), *combinations(people, 2))]


def _agreement(one: Labels, other: Labels) -> Agreement:
    pairs = [(one.answers[key], other.answers[key]) for key in one.answers if key in other.answers]
    sure = [pair for pair in pairs if "unsure" not in pair]
    return Agreement(
        one=one.name,
        other=other.name,
        n=len(sure),
        same=sum(a == b for a, b in sure),
        unsure=len(pairs) - len(sure),
        unknown=len(one.answers) - len(pairs),
        kappa=kappa(sure),
    )


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
