"""The generate phase: new tasks where the loop learns most, and the champion's sampled answers to them.

Nothing is judged here. Work items are fixed by the plan and every row has its own seed, so the bytes do not depend on how
many workers share the sampling.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from loopwright.errors import IntegrityError, PhaseError
from loopwright.generate.elsewhere import answered_elsewhere
from loopwright.generate.sampling import sample_shard
from loopwright.plan import Generator
from loopwright.plugins import PhaseContext
from loopwright.sections import GenerateSection
from loopwright.store.artifacts import recorded
from loopwright.store.tables import PROPOSALS, SIGNATURES, read_table, write_table, write_tasks
from loopwright.types import Digest, Task, canonical, digest_value, seed_of

__all__ = ["curriculum_weights", "generate"]


def generate(config: GenerateSection, inputs: Mapping[str, Path], context: PhaseContext) -> dict[str, Any]:
    """Write ``proposals/`` from ``model``, ``accepted`` (for the curriculum), ``heldout`` and ``recipe``; return the summary.

    Where the plan names an endpoint the model there answers, not the champion, and ``external`` says which.

    Raises:
        InfraError, PlanError: see `loopwright.endpoint.answers`.
        PhaseError: the domain has no such tasks left; or the endpoint refuses.
        IntegrityError: an input is damaged or has no record.
    """
    weights = curriculum_weights(inputs["accepted"] / "curriculum.json", config.floor)
    tasks = _tasks(config, inputs, context, weights)
    shards = list(_shards(_rows(tasks, config.samples, context), config.shard_rows))
    if config.endpoint is None:
        model = recorded(context.root, inputs["model"].relative_to(context.root).as_posix()).digest
        items = [_item(shard, config, inputs["model"], model, context) for shard in shards]
        found, external = context.executor.map(sample_shard, items, context.progress, "shards"), {}
    else:
        model, external = config.endpoint.identity, {"external": config.endpoint.described}
        found = answered_elsewhere(config, shards, context)
    output = context.output / "proposals"
    write_tasks(output / "tasks.parquet", tasks)
    for number, (shard, answers) in enumerate(zip(shards, found, strict=True)):
        rows = [{**row, "answer": text, "tokens": tokens} for row, (text, tokens, _) in zip(shard, answers, strict=True)]
        write_table(output / f"shard-{number:05d}.parquet", PROPOSALS, rows)
    kinds = ["rows", "recipe"] if _recipe(inputs.get("recipe"), output) else ["rows"]
    counts = {
        "tasks": len(tasks),
        "rows": sum(len(shard) for shard in shards),
        "tokens": sum(tokens for answers in found for _, tokens, _ in answers),
    }
    described = {
        "schema": 1,
        "kinds": kinds,
        "model": model,
        "weights": {str(level): weight for level, weight in weights.items()},
        "samples": config.samples,
        "temperature": config.temperature,
        **external,
        **counts,
    }
    (output / "generation.json").write_bytes(canonical(described))
    prompts = {"prompts": [{"path": one.path, "digest": one.digest} for one in config.prompts]} if external else {}
    heads = [prompt for answers in found for _, _, prompt in answers]
    told = None if None in heads else sum(head or 0 for head in heads)
    return {"kinds": kinds, **counts, "compute": {"prompt_tokens": told}, **external, **prompts}


def curriculum_weights(path: Path, floor: float) -> dict[int, float]:
    """A level's share of the new tasks: sqrt(p(1-p)) + floor, p its solve rate in the cycle before.

    That is the standard deviation of one answer's success: most where the model sometimes succeeds, least where it always
    or never does. Empty before the first cycle: then the domain starts as it likes.
    """
    try:
        levels = json.loads(path.read_bytes())["levels"]
        rates = {int(level): float(found["rate"]) for level, found in levels.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(
            f"{path.name} in {path.parent} cannot be read: {error}", "`loopwright verify` says what changed"
        ) from error
    return {level: round(math.sqrt(rate * (1 - rate)) + floor, 6) for level, rate in sorted(rates.items())}


def _tasks(
    config: Generator, inputs: Mapping[str, Path], context: PhaseContext, weights: Mapping[int, float]
) -> Sequence[Task]:
    refused = frozenset(row["signature"] for row in read_table(inputs["heldout"] / "signatures.parquet", SIGNATURES))
    try:
        return context.domain.tasks(seed_of(context.seed, "tasks"), config.tasks, weights, refused)
    except ValueError as error:
        raise PhaseError(
            f"the domain cannot make {config.tasks} new tasks: {error}", "lower generator.tasks in loop.yaml"
        ) from error


def _rows(tasks: Sequence[Task], samples: int, context: PhaseContext) -> list[dict[str, Any]]:
    """Every answer that is wanted, those with prompts of one length together."""
    rows = [
        {
            "id": digest_value([context.cycle, context.seed, task.id, sample])[7:23],
            "task": task.id,
            "prompt": task.prompt,
            "level": task.level,
            "sample": sample,
            "seed": seed_of(context.seed, "row", task.id, sample),
        }
        for task in tasks
        for sample in range(samples)
    ]
    return sorted(rows, key=lambda row: (len(row["prompt"].split()), len(row["prompt"]), row["task"], row["sample"]))


def _shards(rows: Sequence[dict[str, Any]], size: int) -> Iterator[Sequence[dict[str, Any]]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _item(
    shard: Sequence[Mapping[str, Any]], config: Generator, model: Path, digest: Digest, context: PhaseContext
) -> dict[str, Any]:
    """One work item: plain data, so that it can go anywhere."""
    return {
        "family": dict(context.refs["model"]),
        "model": str(model.resolve()),
        "digest": digest,
        "prompts": [row["prompt"] for row in shard],
        "seeds": [row["seed"] for row in shard],
        "temperature": config.temperature,
        "max_new": config.max_new_tokens,
    }


def _recipe(source: Path | None, output: Path) -> bool:
    """Pass a recipe proposal on; the empty file means that there is none."""
    if source is None or source.stat().st_size == 0:
        return False
    shutil.copyfile(source, output / "recipe.diff")
    return True
