"""The verifier measured by itself, each cycle: a hidden gold probe, an audit on fresh inputs, a second judgement.

The gold probe is judged among the cycle's own answers (`loopwright.verify.judging`): its truth is known from how an answer
was made. The audit runs accepted programs past the domain's own ``judge``, so that a hole in that is no hole here. Rows that
fail a second look are refused; how often a sample fails says how far the labels of all rows can be trusted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from random import Random
from typing import Any, TypeVar

import polars as pl

from loopwright.errors import InfraError
from loopwright.intervals import wilson
from loopwright.plan import VerifySection
from loopwright.plugins import KnowsGold, MakesFresh, PhaseContext, offered
from loopwright.sandbox import Job, judge
from loopwright.types import Score, Task, digest_value, seed_of
from loopwright.verify.judging import judge_pairs
from loopwright.verify.screening import refuse

__all__ = ["PROBE", "Gold", "gold_rows", "measured"]

PROBE = "probe.json"
"""In ``accepted``, canonical JSON: ``gold``, ``audit`` and ``rerun``, each null where it was not done."""

Gold = Sequence[tuple[Task, str, bool]]
Item = TypeVar("Item")


def gold_rows(config: VerifySection, context: PhaseContext) -> Gold:
    """Answers of known truth for this cycle; none where the domain offers none."""
    domain = offered(context.domain, KnowsGold)
    return domain.gold(seed_of("gold", context.seed), config.gold) if domain and config.gold else ()


def measured(
    frame: pl.DataFrame, passed: Sequence[bool], config: VerifySection, context: PhaseContext
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The rows without those that failed a second look, and what was found.

    Args:
        frame: Judged rows; those without a reason would be accepted.
        passed: Which of `gold_rows` were let through.
        config: The plan's section.
        context: The phase's.

    Raises:
        InfraError: an answer could not be judged.
    """
    if config.accept != "verified":
        return frame, dict.fromkeys(("gold", "audit", "rerun"))
    gold = _gold_figures(gold_rows(config, context), passed)
    accepted = frame.filter(pl.col("reason").is_null())
    rows = [(row["id"], context.domain.task(row["prompt"]), row["answer"]) for row in accepted.to_dicts()]
    frame, audit = _audited(frame, rows, config, context)
    frame, rerun = _judged_again(frame, rows, config, context)
    return frame, {"gold": gold, "audit": audit, "rerun": rerun}


def _gold_figures(gold: Gold, passed: Sequence[bool]) -> dict[str, Any] | None:
    """Precision and rates at equal parts of right and wrong answers; which were misjudged, by digest."""
    if not gold:
        return None
    rows = list(zip(gold, passed, strict=True))
    right = [said for (_, _, truth), said in rows if truth]
    wrong = [said for (_, _, truth), said in rows if not truth]
    misjudged = [digest_value([task.prompt, answer]) for (task, answer, truth), said in rows if truth is not said]
    return {
        "precision": _plain(wilson([truth for (_, _, truth), said in rows if said])),
        "recall": _plain(wilson(right)),
        "false_accept_rate": _plain(wilson(wrong)),
        "false_refuse_rate": _plain(wilson([not said for said in right])),
        "misjudged": sorted(misjudged),
    }


def _audited(
    frame: pl.DataFrame, rows: Sequence[tuple[str, Task, str]], config: VerifySection, context: PhaseContext
) -> tuple[pl.DataFrame, dict[str, Any] | None]:
    """A sample runs on inputs that no check has, and is compared here."""
    domain = offered(context.domain, MakesFresh) if config.audit else None
    if domain is None:
        return frame, None
    drawn = _drawn(rows, config.audit, seed_of("audit", context.seed))
    checks = [domain.fresh(task, seed_of("audit", context.seed, task.id)) for _, task, _ in drawn]
    jobs = [
        Job(source=domain.program(answer), entry=domain.entry, inputs=check.inputs)
        for (_, _, answer), check in zip(drawn, checks, strict=True)
    ]
    outcomes = context.sandbox.run(jobs, context.progress) if jobs else []
    verdicts = [judge(outcome, [("fresh", check)]) for outcome, check in zip(outcomes, checks, strict=True)]
    if any(verdict.status == "INFRA" for verdict in verdicts):
        raise InfraError("an accepted program could not be audited", "`loopwright doctor`; `loopwright run` tries again")
    failed = {
        name: verdict.reason if verdict.status == "FAIL" else verdict.status
        for (name, _, _), verdict in zip(drawn, verdicts, strict=True)
        if not verdict.passed
    }
    precision = wilson([verdict.passed for verdict in verdicts])
    return _refused(frame, failed, "audit failed"), {"precision": _plain(precision), "failed": sorted(failed)}


def _judged_again(
    frame: pl.DataFrame, rows: Sequence[tuple[str, Task, str]], config: VerifySection, context: PhaseContext
) -> tuple[pl.DataFrame, dict[str, Any] | None]:
    if not config.rerun:
        return frame, None
    drawn = _drawn(rows, config.rerun, seed_of("rerun", context.seed))
    verdicts = judge_pairs([(task, answer) for _, task, answer in drawn], config, context) if drawn else []
    other = {name: said.status for (name, _, _), said in zip(drawn, verdicts, strict=True) if not said.passed}
    return _refused(frame, other, "not repeatable"), {"judged": len(drawn), "failed": sorted(other)}


def _drawn(rows: Sequence[Item], most: int, seed: int) -> list[Item]:
    rng = Random(seed)
    return sorted(rows, key=lambda _: rng.random())[:most]


def _refused(frame: pl.DataFrame, failed: Mapping[str, str], reason: str) -> pl.DataFrame:
    """Refuse rows by id, each with what was seen."""
    hit = pl.col("reason").is_null() & pl.col("id").is_in(list(failed))
    said = pl.col("id").replace_strict(failed, default=None, return_dtype=pl.String)
    return refuse(frame.with_columns(detail=pl.when(hit).then(said).otherwise("detail")), hit, reason)


def _plain(score: Score | None) -> dict[str, Any] | None:
    return asdict(score) if score else None
