"""Verdicts: programs are read, then run in the sandbox, each different answer to a task once.

What the machine failed at is no verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from random import Random
from typing import Any

import polars as pl

from loopwright.domains.accepting import PURPOSES, purposes_of
from loopwright.errors import InfraError
from loopwright.plugins import Executable, PhaseContext, offered
from loopwright.sections import VerifySection
from loopwright.types import Task, Verdict, seed_of
from loopwright.verify.judge import JUDGE
from loopwright.verify.scan import scan
from loopwright.verify.screening import beside, refuse

__all__ = ["UNSAFE", "Judged", "Pair", "give_verdicts", "judge_pairs", "refuse_failed"]

Pair = tuple[Task, str]

UNSAFE = "unsafe code"
"""The reason of a row whose program was read and never run."""

_PIECE = 250_000
"""Answers that are judged at once."""
_STRENGTH = ("SL0", "SL1", "SL2", "SL3", "SL4")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What judging said."""

    frame: pl.DataFrame
    """The rows, with ``status``, ``failed`` (the reason, null for PASS) and ``shown`` (what a person wants to know)."""
    isolation: Counter[str]
    """Answers by the isolation level that was applied to them."""
    scanned: int
    """Programs that the static scan read."""
    gold: tuple[bool, ...] = ()
    """Which of the answers of known truth were let through."""


def give_verdicts(
    frame: pl.DataFrame, tasks: Mapping[str, Task], gold: Sequence[Pair], config: VerifySection, context: PhaseContext
) -> Judged:
    """Judge the rows without a reason: their programs are read, and those that are clean run.

    ``gold`` goes the same way among them, in an order that the cycle's seed draws.

    Raises:
        InfraError: the isolation that the plan asks for is not there, or an answer could not be scanned or judged. None
            of these is ever taken for a failed check.
    """
    _strong_enough(context.sandbox.level, config)
    places = _first_places(frame)
    distinct = places.filter(pl.col("place") == pl.col("first"))["place"]
    asked = frame.select("prompt", "answer")[distinct]
    programs, unsafe = _scanned(asked["answer"], gold, config, context)
    found = _verdicts(asked, tasks, gold, unsafe, config, context)
    joined = frame.hstack(found.columns(frame.height, distinct, places))
    return Judged(frame=joined, isolation=found.isolation, scanned=programs, gold=found.passed(asked.height))


def _first_places(frame: pl.DataFrame) -> pl.DataFrame:
    """Where the rows without a reason stand (``place``), and where the first with the same prompt and answer does (``first``)."""
    rows = frame.lazy().select("prompt", "answer", "reason").with_row_index("place").filter(pl.col("reason").is_null())
    return rows.select("place", first=pl.col("place").first().over("prompt", "answer")).collect()


@dataclass(slots=True)
class _Found:
    """What was said of so many different answers, each by its number among the few things that are said."""

    said: Any
    """By answer the place in ``words``; NumPy, int32. Those of the gold probe come last."""
    words: dict[tuple[str, str], int]
    """By status (none where the scan spoke) and reason."""
    isolation: Counter[str]

    def number(self, status: str, reason: str) -> int:
        return self.words.setdefault((status, reason), len(self.words))

    def columns(self, height: int, distinct: pl.Series, places: pl.DataFrame) -> pl.DataFrame:
        """``status``, ``failed``, ``shown`` of all rows, null where nothing was judged.

        Args:
            height: Rows of the frame.
            distinct: Places of the answers, in their order.
            places: Which rows hold them (`_first_places`).
        """
        import numpy as np

        numbers = np.full(height, len(self.words), dtype=np.int32)
        numbers[distinct.to_numpy()] = self.said[: len(distinct)]
        by_row = np.full(height, len(self.words), dtype=np.int32)
        by_row[places["place"].to_numpy()] = numbers[places["first"].to_numpy()]
        rows = [*(_columns(*each) for each in self.words), (None, None, None)]
        return pl.DataFrame(rows, schema=dict.fromkeys(("status", "failed", "shown"), pl.String), orient="row")[by_row]

    def passed(self, count: int) -> tuple[bool, ...]:
        """Of the answers behind these."""
        passes = {number for (status, _), number in self.words.items() if status == "PASS"}
        return tuple(int(number) in passes for number in self.said[count:])


def _verdicts(
    asked: pl.DataFrame,
    tasks: Mapping[str, Task],
    gold: Sequence[Pair],
    unsafe: Mapping[str, str],
    config: VerifySection,
    context: PhaseContext,
) -> _Found:
    """Judge what is not unsafe, in pieces of a drawn order, so that few answers are held as objects at a time."""
    import numpy as np

    count = asked.height
    found = _Found(said=np.zeros(count + len(gold), dtype=np.int32), words={}, isolation=Counter())
    fit = np.ones(count + len(gold), dtype=bool)
    for place, answer in enumerate(chain(asked["answer"], (answer for _, answer in gold))) if unsafe else ():
        if answer in unsafe:
            fit[place] = False
            found.said[place] = found.number("", unsafe[answer])
    places = np.flatnonzero(fit)
    draw = Random(seed_of("order of judging", context.seed)).random
    places = places[np.argsort(np.fromiter(iter(draw, None), float, len(places)), kind="stable")]
    stated = list(tasks.values())
    numbers = beside(
        asked.select("prompt"), pl.DataFrame({"prompt": list(tasks)}, {"prompt": pl.String}).with_row_index("task"), ["prompt"]
    )["task"]
    for start in range(0, len(places) or 1, _PIECE):
        piece = places[start : start + _PIECE]
        own = piece[piece < count]
        pairs = [(stated[number], answer) for number, answer in zip(numbers[own], asked["answer"][own], strict=True)]
        among = np.flatnonzero(piece >= count).tolist()
        for place in among:
            pairs.insert(place, gold[piece[place] - count])
        verdicts = judge_pairs(pairs, config, context)
        words = found.words
        found.said[piece] = [words.setdefault((one.status, one.reason), len(words)) for one in verdicts]
        found.isolation.update(Counter(one.level for one in verdicts) - Counter(verdicts[place].level for place in among))
    return found


def _scanned(
    answers: pl.Series, gold: Sequence[Pair], config: VerifySection, context: PhaseContext
) -> tuple[int, Mapping[str, str]]:
    """How many programs were read, and by answer what is unsafe in those that may not run."""
    domain = offered(context.domain, Executable) if config.scan else None
    if domain is None:
        return 0, {}
    programs = {answer: domain.program(answer) for answer in (*answers, *(answer for _, answer in gold))}
    return len(programs), scan(programs, context.scratch)


def judge_pairs(pairs: Sequence[Pair], config: VerifySection, context: PhaseContext) -> list[Verdict]:
    """The domain's verdicts by all accepting checks.

    Raises:
        InfraError: one is none, or comes from weaker isolation than asked.
        PlanError: a task has no hidden check, and the plan does not say that this is meant.
    """
    purposes = purposes_of((task for task, _ in pairs), unsafe_no_hidden_tests=config.unsafe_no_hidden_tests)
    verdicts = context.domain.judge(pairs, purposes, context.sandbox, context.progress)
    lost = [verdict for verdict in verdicts if verdict.status == "INFRA"]
    if lost:
        raise InfraError(
            f"{len(lost)} of {len(verdicts)} answers could not be judged ({lost[0].reason[:200]!r})",
            "`loopwright doctor` looks at the sandbox; `loopwright run` tries again",
        )
    for level in {verdict.level for verdict in verdicts} - {"data"}:
        _strong_enough(level, config)
    return verdicts


def _columns(status: str, reason: str) -> tuple[str | None, str | None, str | None]:
    """Status, reason and detail, from a verdict's own or from what the scan found."""
    return (status, _reason(status, reason), _detail(status, reason)) if status else (None, UNSAFE, reason)


def refuse_failed(frame: pl.DataFrame) -> pl.DataFrame:
    """Refuse what was judged and did not pass."""
    failed = pl.col("reason").is_null() & pl.col("failed").is_not_null()
    frame = frame.with_columns(detail=pl.when(failed).then("shown").otherwise("detail"))
    return refuse(frame, pl.col("failed").is_not_null(), pl.col("failed")).drop("failed", "shown")


def _strong_enough(level: str, config: VerifySection) -> None:
    if _STRENGTH.index(level) < _STRENGTH.index(config.minimum_level):
        raise InfraError(
            f"candidates would run at isolation {level}; the plan asks for {config.minimum_level} at least",
            "`loopwright doctor` says what this machine lacks; a person may lower verifier.minimum_level in loop.yaml",
        )


def _reason(status: str, said: str) -> str | None:
    """A few fixed words, to count by; the purpose that failed is the first word of the domain's own reason."""
    if status == "PASS":
        return None
    if status != "FAIL":
        return status.lower().replace("_", " ")
    purpose = said.partition(" ")[0]
    if purpose == JUDGE:
        return "refused by the judge model"
    return f"{purpose} check failed" if purpose in PURPOSES else "check failed"


def _detail(status: str, said: str) -> str | None:
    """Which check failed. What a candidate's process said is left out: it may differ from run to run."""
    return said[:200] if status == "FAIL" else None
