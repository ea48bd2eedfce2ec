"""What models are asked for the collapse card, and how likely they find what others wrote: work items for the executor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loopwright.evaluate.sampling import load_model, sample_tasks
from loopwright.plugins import PhaseContext
from loopwright.store.hashing import measure
from loopwright.store.statcache import StatCache
from loopwright.types import Digest

__all__ = ["Question", "ask", "score_pairs", "surprisals"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Answers wanted of one model, in pieces of ``shard`` prompts (the pieces decide the bytes, the workers never do)."""

    model: Path
    prompts: Sequence[str]
    seeds: Sequence[int]
    temperature: float
    tokens: int
    shard: int


def ask(questions: Sequence[Question], context: PhaseContext) -> list[list[tuple[str, int]]]:
    """(text, tokens) a prompt, by question: one call of the executor for all, so that no worker waits for another."""
    digests = _digests({question.model for question in questions}, context)
    items = [
        (
            number,
            {
                **_model(question.model, digests, context),
                "prompts": list(question.prompts[start : start + question.shard]),
                "seeds": list(question.seeds[start : start + question.shard]),
                "temperature": question.temperature,
                "max_new": question.tokens,
            },
        )
        for number, question in enumerate(questions)
        for start in range(0, len(question.prompts), question.shard)
    ]
    results = context.executor.map(sample_tasks, [item for _, item in items], context.progress, "slices")
    found: list[list[tuple[str, int]]] = [[] for _ in questions]
    for (number, _), result in zip(items, results, strict=True):
        found[number] += [(text, tokens) for text, tokens in result]
    return found


def surprisals(
    wanted: Sequence[tuple[Path, Sequence[tuple[str, str]]]], shard: int, context: PhaseContext
) -> list[list[tuple[float, int]]]:
    """Nats and tokens of each (prompt, answer) under each model."""
    digests = _digests({model for model, _ in wanted}, context)
    items = [
        (number, {**_model(model, digests, context), "pairs": [list(pair) for pair in pairs[start : start + shard]]})
        for number, (model, pairs) in enumerate(wanted)
        for start in range(0, len(pairs), shard)
    ]
    results = context.executor.map(score_pairs, [item for _, item in items], context.progress, "slices")
    found: list[list[tuple[float, int]]] = [[] for _ in wanted]
    for (number, _), result in zip(items, results, strict=True):
        found[number] += [(nats, tokens) for nats, tokens in result]
    return found


def score_pairs(item: Mapping[str, Any]) -> list[tuple[float, int]]:
    """Cross-entropy in nats and number of tokens of each pair's answer. Runs on a worker, one pair at a time."""
    import torch

    family, model = load_model(item)
    found = []
    with torch.inference_mode():
        for prompt, answer in item["pairs"]:
            batch = family.collate(model, [(prompt, answer)])
            found.append((float(family.loss(model, batch)), int(batch["weight"].sum())))
    return found


def _digests(models: set[Path], context: PhaseContext) -> Mapping[Path, Digest]:
    cache = StatCache(context.root)
    return {model: measure(model, "model", known=cache).manifest.digest for model in models}


def _model(model: Path, digests: Mapping[Path, Digest], context: PhaseContext) -> dict[str, Any]:
    return {"model": str(model.resolve()), "digest": digests[model], "family": dict(context.refs["model"])}
