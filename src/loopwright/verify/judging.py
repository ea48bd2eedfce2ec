"""Verdicts: programs are read, then run in the sandbox, each different answer to a task once.

What the machine failed at is no verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from random import Random

import polars as pl

from loopwright.domains.accepting import PURPOSES, purposes_of
from loopwright.errors import InfraError
from loopwright.plan import VerifySection
from loopwright.plugins import Executable, PhaseContext, offered
from loopwright.types import Task, Verdict, seed_of
from loopwright.verify.judge import JUDGE
from loopwright.verify.scan import scan
from loopwright.verify.screening import refuse

__all__ = ["UNSAFE", "Judged", "Pair", "give_verdicts", "judge_pairs", "refuse_failed"]

Pair = tuple[Task, str]

UNSAFE = "unsafe code"
"""The reason of a row whose program was read and never run."""

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
    distinct = frame.filter(pl.col("reason").is_null()).unique(["prompt", "answer"], keep="first", maintain_order=True)
    pairs = [(tasks[prompt], answer) for prompt, answer in distinct.select("prompt", "answer").iter_rows()]
    everything = [*pairs, *gold]
    programs, unsafe = _scanned({answer for _, answer in everything}, config, context)
    rng = Random(seed_of("order of judging", context.seed))
    order = sorted((place for place, (_, answer) in enumerate(everything) if answer not in unsafe), key=lambda _: rng.random())
    verdicts = dict(zip(order, judge_pairs([everything[place] for place in order], config, context), strict=True))
    isolation: Counter[str] = Counter(verdicts[place].level for place in order if place < len(pairs))
    columns = [_columns(unsafe[answer] if answer in unsafe else verdicts[place]) for place, (_, answer) in enumerate(pairs)]
    passed = tuple(place in verdicts and verdicts[place].passed for place in range(len(pairs), len(everything)))
    text = dict.fromkeys(("status", "failed", "shown"), pl.String)
    said = distinct.select("prompt", "answer").hstack(pl.DataFrame(columns, schema=text, orient="row"))
    joined = frame.join(said, on=["prompt", "answer"], how="left", maintain_order="left")
    return Judged(frame=joined, isolation=isolation, scanned=programs, gold=passed)


def _scanned(answers: Collection[str], config: VerifySection, context: PhaseContext) -> tuple[int, Mapping[str, str]]:
    """How many programs were read, and by answer what is unsafe in those that may not run."""
    domain = offered(context.domain, Executable) if config.scan else None
    if domain is None:
        return 0, {}
    return len(answers), scan({answer: domain.program(answer) for answer in answers}, context.scratch)


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


def _columns(said: Verdict | str) -> tuple[str | None, str | None, str | None]:
    """Status, reason and detail, from a verdict or from what the scan found."""
    return (None, UNSAFE, said) if isinstance(said, str) else (said.status, _reason(said), _detail(said))


def refuse_failed(frame: pl.DataFrame) -> pl.DataFrame:
    """Refuse what was judged and did not pass."""
    failed = pl.col("reason").is_null() & pl.col("failed").is_not_null()
    frame = frame.with_columns(detail=pl.when(failed).then("shown").otherwise("detail"))
    return refuse(frame, pl.col("failed").is_not_null(), pl.col("failed"))


def _strong_enough(level: str, config: VerifySection) -> None:
    if _STRENGTH.index(level) < _STRENGTH.index(config.minimum_level):
        raise InfraError(
            f"candidates would run at isolation {level}; the plan asks for {config.minimum_level} at least",
            "`loopwright doctor` says what this machine lacks; a person may lower verifier.minimum_level in loop.yaml",
        )


def _reason(verdict: Verdict) -> str | None:
    """A few fixed words, to count by; the purpose that failed is the first word of the domain's own reason."""
    if verdict.passed:
        return None
    if verdict.status != "FAIL":
        return verdict.status.lower().replace("_", " ")
    purpose = verdict.reason.partition(" ")[0]
    if purpose == JUDGE:
        return "refused by the judge model"
    return f"{purpose} check failed" if purpose in PURPOSES else "check failed"


def _detail(verdict: Verdict) -> str | None:
    """Which check failed. What a candidate's process said is left out: it may differ from run to run."""
    return verdict.reason[:200] if verdict.status == "FAIL" else None
