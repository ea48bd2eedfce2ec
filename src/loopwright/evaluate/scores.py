"""Per-task results -> scores with intervals. Every score is a share of tasks, so every interval is Wilson's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from loopwright.intervals import METHOD, wilson
from loopwright.types import Score, Status, Task

__all__ = ["METHOD", "RESULTS", "SAMPLES", "Result", "by_level", "by_slice", "wilson"]

RESULTS: Mapping[str, str] = {
    "task": "string",
    "level": "int32",
    "slices": "string",
    "answer": "string",
    "status": "string",
    "passed": "bool",
    "champion": "bool",
}
"""``gate.parquet`` and ``sealed.parquet``: a task a row; ``champion`` is the champion's ``passed``, null for the first model."""

SAMPLES: Mapping[str, str] = {"task": "string", "level": "int32", "sample": "int32", "passed": "bool"}
"""``sealed_samples.parquet``: a draw a row, where pass@k was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one task ended."""

    task: Task
    passed: bool
    answer: str = ""
    status: Status = "FAIL"
    champion: bool | None = None

    def row(self) -> dict[str, Any]:
        """As a row of `RESULTS`."""
        return {
            "task": self.task.id,
            "level": self.task.level,
            "slices": json.dumps(dict(self.task.slices), sort_keys=True, ensure_ascii=False, separators=(",", ":")),
            "answer": self.answer,
            "status": self.status,
            "passed": self.passed,
            "champion": self.champion,
        }


def by_level(results: Sequence[Result], headline: tuple[int, int]) -> dict[str, Any]:
    """Scores of all tasks, of the headline levels and of each level, as plain JSON."""
    levels = _grouped(results, lambda result: [result.task.level])
    first, last = headline
    return {
        "all": _plain(wilson([result.passed for result in results])),
        "headline": _plain(wilson([result.passed for result in results if first <= result.task.level <= last])),
        "levels": {str(level): _plain(wilson(passed)) for level, passed in sorted(levels.items())},
    }


def by_slice(results: Sequence[Result]) -> dict[str, dict[str, Any]]:
    """Scores by every slice that the domain names and every value it takes."""
    groups = _grouped(results, lambda result: result.task.slices.items())
    scores: dict[str, dict[str, Any]] = {}
    for (name, value), passed in sorted(groups.items()):
        scores.setdefault(name, {})[value] = _plain(wilson(passed))
    return scores


def _grouped(results: Iterable[Result], keys: Callable[[Result], Iterable[Any]]) -> dict[Any, list[bool]]:
    groups: dict[Any, list[bool]] = {}
    for result in results:
        for key in keys(result):
            groups.setdefault(key, []).append(result.passed)
    return groups


def _plain(score: Score | None) -> dict[str, Any] | None:
    return asdict(score) if score else None
