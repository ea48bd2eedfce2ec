"""Verdicts: candidates run in the sandbox, each different answer to a task once; what the machine failed at is no verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import polars as pl

from loopwright.errors import InfraError
from loopwright.plan import VerifySection
from loopwright.plugins import PhaseContext
from loopwright.types import Task, Verdict
from loopwright.verify.screening import refuse

__all__ = ["PURPOSES", "give_verdicts", "refuse_failed"]

PURPOSES = ("visible", "hidden")
"""Checks that accepting needs, in the order in which they are looked at."""

_STRENGTH = ("SL0", "SL1", "SL2", "SL3", "SL4")


def give_verdicts(
    frame: pl.DataFrame, tasks: Mapping[str, Task], config: VerifySection, context: PhaseContext
) -> tuple[pl.DataFrame, Counter[str]]:
    """Add ``status`` and ``failed`` (the reason, null for PASS) to the rows without a reason; count isolation levels.

    Raises:
        InfraError: the isolation that the plan asks for is not there, or an answer could not be judged. Neither is ever
            taken for a failed check.
    """
    _strong_enough(context.sandbox.level, config)
    distinct = frame.filter(pl.col("reason").is_null()).unique(["prompt", "answer"], keep="first", maintain_order=True)
    pairs = [(tasks[prompt], answer) for prompt, answer in distinct.select("prompt", "answer").iter_rows()]
    verdicts = context.domain.judge(pairs, PURPOSES, context.sandbox, context.progress)
    lost = [verdict for verdict in verdicts if verdict.status == "INFRA"]
    if lost:
        raise InfraError(
            f"{len(lost)} of {len(verdicts)} answers could not be judged ({lost[0].reason[:200]!r})",
            "`loopwright doctor` looks at the sandbox; `loopwright run` tries again",
        )
    isolation: Counter[str] = Counter(verdict.level for verdict in verdicts)
    for level in isolation.keys() - {"data"}:
        _strong_enough(level, config)
    said = distinct.select("prompt", "answer").with_columns(
        pl.Series("status", [verdict.status for verdict in verdicts], dtype=pl.String),
        pl.Series("failed", [_reason(verdict) for verdict in verdicts], dtype=pl.String),
        pl.Series("shown", [_detail(verdict) for verdict in verdicts], dtype=pl.String),
    )
    return frame.join(said, on=["prompt", "answer"], how="left", maintain_order="left"), isolation


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
    return f"{purpose} check failed" if purpose in PURPOSES else "check failed"


def _detail(verdict: Verdict) -> str | None:
    """Which check failed. What a candidate's process said is left out: it may differ from run to run."""
    return verdict.reason[:200] if verdict.status == "FAIL" else None
