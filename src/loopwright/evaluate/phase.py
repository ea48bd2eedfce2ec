"""The phase ``evaluate``: the gate suite for the decision, the sealed suite for the record.

The sealed suite is read once per evaluate key, here and nowhere else; what it says steers nothing. The champion is not
sampled again: its results come from its own evaluation, which is an input with a digest.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loopwright.errors import InfraError, IntegrityError
from loopwright.evaluate.sampling import Ask, answer, greedy, repeated
from loopwright.evaluate.scores import RESULTS, SAMPLES, Result, by_level, by_slice
from loopwright.plugins import PhaseContext, Sample
from loopwright.sections import EvaluateSection
from loopwright.store.suites import read_suite
from loopwright.store.tables import read_table, write_table
from loopwright.types import Task, Verdict, canonical

__all__ = ["SEEDS", "evaluate"]

SEEDS = "seeds.json"
"""Gate scores by training seed, where the plan asks for several: ``model`` and ``champion``."""


def evaluate(config: EvaluateSection, inputs: Mapping[str, Path], context: PhaseContext) -> dict[str, Any]:
    """Write per-task results and ``scores.json`` below ``evaluation``; return the summary.

    ``inputs`` has ``model``, ``suites`` and, except for the first model, ``evaluation`` (the champion's).

    Raises:
        InfraError: an answer could not be judged; that is never counted as a failure of the model.
        IntegrityError: the champion was scored on other tasks.
    """
    gate, sealed = (read_suite(inputs["suites"], suite, context.sealer) for suite in ("gate", "sealed"))
    draws = repeated(sealed, config.pass_at.k, context.seed) if context.cycle in config.pass_at.cycles else []
    groups = [(greedy(gate), 0.0), (greedy(sealed), 0.0), (draws, config.pass_at.temperature)]
    samples = answer(groups, inputs["model"], config, context)
    isolation: Counter[str] = Counter()
    gate_verdicts = _judge("gate", groups[0][0], samples[0], context, isolation)
    sealed_verdicts = _judge("sealed", [*groups[1][0], *draws], [*samples[1], *samples[2]], context, isolation)
    output = context.output / "evaluation"
    summary: dict[str, Any] = {"pass_at": None}
    documents: dict[str, Any] = {"schema": 1, "pass_at": None}
    for suite, tasks, answers, verdicts in (
        ("gate", gate, samples[0], gate_verdicts),
        ("sealed", sealed, samples[1], sealed_verdicts),
    ):
        results = _results(tasks, answers, verdicts[: len(tasks)], _champion(inputs.get("evaluation"), suite, tasks))
        write_table(output / f"{suite}.parquet", RESULTS, [result.row() for result in results])
        summary[suite] = by_level(results, config.headline)
        documents[suite] = {**summary[suite], "slices": by_slice(results)}
    if draws:
        summary["pass_at"] = documents["pass_at"] = _pass_at(config, sealed, draws, sealed_verdicts[len(sealed) :], output)
    (output / "scores.json").write_bytes(canonical(documents))
    tokens = sum(sample.tokens for group in samples for sample in group)
    if twins := sorted((inputs["model"] / "seeds").glob("*")):
        summary["seeds"], more = _seeds(twins, gate, config, inputs, context, gate_verdicts)
        (output / SEEDS).write_bytes(canonical(summary["seeds"]))
        tokens += more
    return {**summary, "tokens": tokens, "reused": "evaluation" in inputs, "isolation": dict(isolation)}


def _seeds(
    twins: Sequence[Path],
    gate: Sequence[Task],
    config: EvaluateSection,
    inputs: Mapping[str, Path],
    context: PhaseContext,
    own: Sequence[Verdict],
) -> tuple[dict[str, list[float] | None], int]:
    """Gate scores of the model and of its twins, which differ by the training seed alone; and the champion's, as recorded."""
    rates, tokens = [_rate(own)], 0
    for twin in twins:
        asks = greedy(gate)
        [samples] = answer([(asks, 0.0)], twin, config, context)
        rates.append(_rate(_judge("gate", asks, samples, context, Counter())))
        tokens += sum(sample.tokens for sample in samples)
    known = inputs["evaluation"] / SEEDS if "evaluation" in inputs else None
    champion = json.loads(known.read_bytes())["model"] if known and known.exists() else None
    return {"model": rates, "champion": champion}, tokens


def _rate(verdicts: Sequence[Verdict]) -> float:
    return sum(verdict.passed for verdict in verdicts) / len(verdicts)


def _judge(
    purpose: str, asks: Sequence[Ask], samples: Sequence[Sample], context: PhaseContext, isolation: Counter[str]
) -> list[Verdict]:
    """A verdict an answer; the same answer to the same task is judged once."""
    pairs = [(ask.task, sample.text) for ask, sample in zip(asks, samples, strict=True)]
    distinct = {(task.id, text): (task, text) for task, text in pairs}
    verdicts = context.domain.judge(list(distinct.values()), (purpose,), context.sandbox, context.progress)
    lost = [verdict for verdict in verdicts if verdict.status == "INFRA"]
    if lost:
        raise InfraError(
            f"{len(lost)} of {len(verdicts)} answers could not be judged ({lost[0].reason[:200]!r})",
            "`loopwright doctor` looks at the sandbox; `loopwright run` tries again",
        )
    isolation.update(verdict.level for verdict in verdicts)
    found = dict(zip(distinct, verdicts, strict=True))
    return [found[task.id, text] for task, text in pairs]


def _champion(evaluation: Path | None, suite: str, tasks: Sequence[Task]) -> Mapping[str, bool | None]:
    """The champion's results by task; all None where there is no champion."""
    if evaluation is None:
        return dict.fromkeys((task.id for task in tasks), None)
    rows = read_table(evaluation / f"{suite}.parquet", {"task": "string", "passed": "bool"})
    found = {row["task"]: row["passed"] for row in rows}
    if len(rows) != len(tasks) or found.keys() != {task.id for task in tasks} or None in found.values():
        raise IntegrityError(
            f"the champion's {suite} results are not about this loop's {suite} suite ({len(rows)} rows, {len(tasks)} tasks)",
            "`loopwright verify` says what changed",
        )
    return found


def _results(
    tasks: Sequence[Task], samples: Sequence[Sample], verdicts: Sequence[Verdict], champion: Mapping[str, bool | None]
) -> list[Result]:
    return [
        Result(task=task, passed=verdict.passed, answer=sample.text, status=verdict.status, champion=champion[task.id])
        for task, sample, verdict in zip(tasks, samples, verdicts, strict=True)
    ]


def _pass_at(
    config: EvaluateSection, tasks: Sequence[Task], draws: Sequence[Ask], verdicts: Sequence[Verdict], output: Path
) -> dict[str, Any]:
    """pass@k by level, from exactly k draws a task.

    The unbiased estimator of Chen et al. (arXiv 2107.03374), 1 - C(n-c, k) / C(n, k), is for n = k draws simply whether any
    of them passed; so the score is a share of tasks, and its interval Wilson's.
    """
    rows = [
        {"task": ask.task.id, "level": ask.task.level, "sample": ask.index, "passed": verdict.passed}
        for ask, verdict in zip(draws, verdicts, strict=True)
    ]
    write_table(output / "sealed_samples.parquet", SAMPLES, rows)
    solved = {row["task"] for row in rows if row["passed"]}
    return {"k": config.pass_at.k, **by_level([Result(task=task, passed=task.id in solved) for task in tasks], config.headline)}
