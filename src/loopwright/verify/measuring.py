"""The verifier measured by itself, each cycle: a hidden gold probe and a second judgement.

The gold probe is judged among the cycle's own answers (`loopwright.verify.judging`): its truth is known from how an answer
was made. Rows that are judged otherwise the second time are refused. What does not go by the verifier's word, an audit of
the accepted rows past the domain's own ``judge``, is the evaluator's (`loopwright.evaluate.audit`). Where models judge, their
preference for their own family's answers is measured as well.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from heapq import nsmallest
from random import Random
from typing import Any

import polars as pl

from loopwright.errors import PlanError
from loopwright.intervals import halves, wilson
from loopwright.plugins import JudgesByModel, KnowsGold, PhaseContext, offered
from loopwright.sections import VerifySection
from loopwright.types import Score, Task, digest_value, seed_of
from loopwright.verify.judging import judge_pairs
from loopwright.verify.screening import refuse

__all__ = ["PROBE", "Gold", "gold_rows", "measured", "refuse_failing", "self_preference"]

PROBE = "probe.json"
"""In ``accepted``, canonical JSON: ``gold`` and ``rerun``, each null where it was not done; ``self_preference`` where a model judges."""

Gold = Sequence[tuple[Task, str, bool]]


def gold_rows(config: VerifySection, context: PhaseContext) -> Gold:
    """Answers of known truth for this cycle; none where the domain offers none, or nothing is verified."""
    domain = offered(context.domain, KnowsGold) if config.accept == "verified" else None
    return domain.gold(seed_of("gold", context.seed), config.gold) if domain and config.gold else ()


def measured(
    kept: pl.Series,
    rows: Callable[[Sequence[int]], list[dict[str, Any]]],
    gold: Gold,
    passed: Sequence[bool],
    config: VerifySection,
    context: PhaseContext,
) -> tuple[dict[str, str], dict[str, Any]]:
    """The rows that failed the second look, by id with what was seen, and what was found.

    Args:
        kept: Positions of the rows that would be accepted, in order.
        rows: Gives ``id``, ``prompt`` and ``answer`` of the rows at some positions.
        gold: From `gold_rows`.
        passed: Which of these were let through.
        config: The plan's section.
        context: The phase's.

    Raises:
        InfraError: an answer could not be judged.
        PlanError: see `self_preference`.
    """
    taste = self_preference(config, context)
    if config.accept != "verified":
        return {}, {"gold": None, "rerun": None, **taste}
    other, rerun = _judged_again(kept, rows, config, context)
    return other, {"gold": _gold_figures(gold, passed), "rerun": rerun, **taste}


def self_preference(config: VerifySection, context: PhaseContext) -> dict[str, Any]:
    """How much more often than every other time a judge model takes its own family's answer where people saw no difference.

    Each pair is shown in both orders: who only likes the first place wins one and loses one. 0 is no preference, 0.5 is
    always (Panickssery et al. 2024, arXiv 2404.13076; Wataoka et al. 2024, arXiv 2410.21819). Nothing where no model judges.

    Raises:
        PlanError: a model judges, and the domain has no such pairs: the preference of that judge could not be seen.
    """
    if not getattr(context.domain, "judge_models", ()):
        return {}
    domain = offered(context.domain, JudgesByModel)
    pairs = domain.equals(seed_of("preference", context.seed), max(1, config.gold)) if domain else ()
    if domain is None or not pairs:
        raise PlanError(
            "the domain judges by models and has no pairs by which their preference for their own answers could be measured",
            "let it offer `loopwright.plugins.JudgesByModel`, or choose a domain that judges by running code",
        )
    sandbox = context.sandbox
    points = [
        (domain.prefers_first(task, own, other, sandbox) + (not domain.prefers_first(task, other, own, sandbox))) / 2
        for task, own, other in pairs
    ]
    return {"self_preference": _plain(halves(points, neutral=0.5))}


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


def _judged_again(
    kept: pl.Series, rows: Callable[[Sequence[int]], list[dict[str, Any]]], config: VerifySection, context: PhaseContext
) -> tuple[dict[str, str], dict[str, Any] | None]:
    if not config.rerun:
        return {}, None
    rng = Random(seed_of("rerun", context.seed))
    keys = array("d", (rng.random() for _ in range(len(kept))))
    drawn = rows([kept[place] for place in nsmallest(config.rerun, range(len(kept)), key=keys.__getitem__)])
    pairs = [(context.domain.task(row["prompt"]), row["answer"]) for row in drawn]
    verdicts = judge_pairs(pairs, config, context) if pairs else []
    other: dict[str, str] = {row["id"]: said.status for row, said in zip(drawn, verdicts, strict=True) if not said.passed}
    return other, {"judged": len(drawn), "failed": sorted(other)}


def refuse_failing(frame: pl.DataFrame, failed: Mapping[str, str]) -> pl.DataFrame:
    """Refuse rows by id, each with what the second look saw."""
    if not failed:
        return frame
    hit = pl.col("reason").is_null() & pl.col("id").is_in(list(failed))
    said = pl.col("id").replace_strict(failed, default=None, return_dtype=pl.String)
    return refuse(frame.with_columns(detail=pl.when(hit).then(said).otherwise("detail")), hit, "not repeatable")


def _plain(score: Score | None) -> dict[str, Any] | None:
    return asdict(score) if score else None
