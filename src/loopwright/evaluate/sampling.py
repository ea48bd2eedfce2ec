"""The challenger's answers: fixed slices of tasks as work items, each answered wherever the executor puts it."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loopwright.plugins import ModelFamily, PhaseContext, Sample, load_family
from loopwright.sections import EvaluateSection
from loopwright.store.hashing import measure
from loopwright.store.statcache import StatCache
from loopwright.types import Digest, Task, seed_of

__all__ = ["Ask", "answer", "greedy", "load_model", "repeated", "sample_tasks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One answer wanted of the model."""

    task: Task
    seed: int = 0
    """Of the draw; a greedy answer has none."""
    index: int = 0
    """Which of a task's samples."""


def greedy(tasks: Sequence[Task]) -> list[Ask]:
    """One answer a task, the most likely one: pass@1 at temperature 0."""
    return [Ask(task=task) for task in tasks]


def repeated(tasks: Sequence[Task], count: int, seed: int) -> list[Ask]:
    """``count`` draws a task; each has a seed of its own that depends on the cycle's seed and the task alone."""
    return [
        Ask(task=task, seed=seed_of(seed, "pass_at", task.id, index), index=index) for task in tasks for index in range(count)
    ]


def answer(
    groups: Sequence[tuple[Sequence[Ask], float]], model: Path, config: EvaluateSection, context: PhaseContext
) -> list[list[Sample]]:
    """Samples of each group (what is asked, temperature), in the order in which it was asked.

    All groups go to the executor in one call, so that no worker waits for another between them.
    """
    digest = measure(model, "model", known=StatCache(context.root)).manifest.digest
    common = {
        "model": str(model.resolve()),
        "digest": digest,
        "family": dict(context.refs["model"]),
        "max_new": config.max_new_tokens,
    }
    slices = [
        (number, {**common, **_part(asks[start : start + config.shard_tasks], temperature)})
        for number, (asks, temperature) in enumerate(groups)
        for start in range(0, len(asks), config.shard_tasks)
    ]
    results = context.executor.map(sample_tasks, [item for _, item in slices], context.progress, "slices")
    found: list[list[Sample]] = [[] for _ in groups]
    for (number, _), result in zip(slices, results, strict=True):
        found[number] += [Sample(text=text, tokens=tokens) for text, tokens in result]
    return found


def sample_tasks(item: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Answer one slice: (text, tokens) a prompt. Runs on a worker; the model is read once per process."""
    family, model = load_model(item)
    samples = family.sample(model, item["prompts"], item["seeds"], item["temperature"], item["max_new"])
    return [(sample.text, sample.tokens) for sample in samples]


def load_model(item: Mapping[str, Any]) -> tuple[ModelFamily, Any]:
    """The family and the model that a work item names by ``family``, ``model`` (path) and ``digest``."""
    return _load(item["family"]["name"], json.dumps(item["family"]["settings"], sort_keys=True), item["model"], item["digest"])


@functools.lru_cache(maxsize=2)
def _load(name: str, settings: str, model: str, _digest: Digest) -> tuple[ModelFamily, Any]:
    """The digest is part of the key since a path may hold another model after a new attempt."""
    family = load_family(name, json.loads(settings))
    return family, family.load(Path(model))


def _part(asks: Sequence[Ask], temperature: float) -> dict[str, Any]:
    return {"prompts": [ask.task.prompt for ask in asks], "seeds": [ask.seed for ask in asks], "temperature": temperature}
