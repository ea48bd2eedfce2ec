"""The default loop as a plain script: no Ray, Lightning, DVC, git, ledger, Parquet or pandera, and nothing kept.

It imports the same model, sampler, verifier and suites, and does the same tokens, steps and evaluations (the counts are
printed; `benchmarks/overhead.py` compares them with a workspace's). It is the measure of what Loopwright costs.

    python benchmarks/bare_loop.py --seed 0 --cycles 5
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from loopwright.domains.programs import Programs
from loopwright.models.transformer import TinyTransformer
from loopwright.plan import Plan, Recipe
from loopwright.planfile import parse_recipes
from loopwright.sandbox.pool import open_sandbox
from loopwright.train.mixing import Mixture
from loopwright.types import Task, cycle_name, seed_of
from loopwright.workspace import template

PLAN = Plan()
RECIPES = parse_recipes(template("recipe.yaml").read_text(encoding="utf-8"))
FAMILY = TinyTransformer()
DOMAIN = Programs()


def train(model: Any, recipe: Recipe, human: list, synthetic: list, seed: int, counts: Counter[str]) -> None:
    """AdamW with warm-up and linear decay; each step's gradient is the sum over two shards."""
    mixture = Mixture(
        human=human,
        synthetic=synthetic,
        batch=recipe.batch,
        shards=recipe.shards,
        human_share=recipe.human_share,
        seed=seed_of(seed, "mixture"),
    )
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay, fused=True
    )
    model.train()
    for step in range(recipe.steps):
        shards = [FAMILY.collate(model, rows) for rows in mixture.at(step)]
        tokens = sum(int(batch["weight"].sum()) for batch in shards)
        gone = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
        warm = (step + 1) / recipe.warmup if step < recipe.warmup else 1 - (1 - recipe.floor) * gone
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * warm
        optimizer.zero_grad()
        for batch in shards:
            (FAMILY.loss(model, batch) / tokens).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        counts["train_tokens"] += tokens
        counts["steps"] += 1
    model.eval()


def sample(model: Any, rows: Sequence[tuple[str, int]], size: int, temperature: float, counts: Counter[str]) -> list[str]:
    """Answers to (prompt, seed), cut into pieces of ``size`` as the plan does."""
    answers = []
    for start in range(0, len(rows), size):
        prompts, seeds = zip(*rows[start : start + size], strict=True)
        found = FAMILY.sample(model, prompts, seeds, temperature, PLAN.generator.max_new_tokens)
        answers += [one.text for one in found]
        counts["sampled_tokens"] += sum(one.tokens for one in found)
    return answers


def judged(pairs: Sequence[tuple[Task, str]], purposes: tuple[str, ...], sandbox: Any, counts: Counter[str]) -> list[bool]:
    """Whether each answer passes; equal answers to a task run once."""
    distinct = {(task.id, answer): (task, answer) for task, answer in pairs}
    counts["executions"] += len(distinct)
    verdicts = dict(zip(distinct, DOMAIN.judge(list(distinct.values()), purposes, sandbox), strict=True))
    return [verdicts[task.id, answer].passed for task, answer in pairs]


def evaluate(model: Any, suites: Any, sandbox: Any, counts: Counter[str]) -> dict[str, list[bool]]:
    """Greedy pass@1 on both suites."""
    results = {}
    for name, tasks in suites.items():
        answers = sample(model, [(task.prompt, 0) for task in tasks], PLAN.evaluator.shard_tasks, 0.0, counts)
        results[name] = judged(list(zip(tasks, answers, strict=True)), (name,), sandbox, counts)
        counts["evaluations"] += len(tasks)
    return results


def examine(
    model: Any, first: Any, frozen: Any, gate: Sequence[Task], number: int, seed: int, sandbox: Any, counts: Any
) -> None:
    """What the collapse card is measured on: the panel, the stress suite, a piece of the gate by the first model, surprisals."""
    human, panel = frozen
    rows = [(prompt, seed_of(seed, "panel", prompt)) for prompt in panel]
    answers = sample(model, rows, PLAN.examiner.shard_rows, PLAN.examiner.temperature, counts)
    hard = [task for tasks in DOMAIN.stress().values() for task in tasks if task.checks]
    found = sample(model, [(task.prompt, 0) for task in hard], PLAN.evaluator.shard_tasks, 0.0, counts)
    judged(list(zip(hard, found, strict=True)), ("stress",), sandbox, counts)
    if first is not model:
        pieces = range(0, len(gate), PLAN.evaluator.shard_tasks)
        piece = gate[(start := pieces[number % len(pieces)]) : start + PLAN.evaluator.shard_tasks]
        found = sample(first, [(task.prompt, 0) for task in piece], PLAN.evaluator.shard_tasks, 0.0, counts)
        judged(list(zip(piece, found, strict=True)), ("gate",), sandbox, counts)
    given = list(zip(panel, answers, strict=True))
    with torch.inference_mode():
        for scorer, pairs in ((model, human), (first, given), (model, given)):
            for pair in pairs:
                FAMILY.loss(scorer, FAMILY.collate(scorer, [pair]))
                counts["scored"] += 1


def frozen_rows(seed: int, refused: frozenset[str], trained: set[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Human rows that are never trained on, and the panel of prompts, as the seed phase keeps them."""
    offered = DOMAIN.human(seed_of(seed, "frozen"), refused)
    fresh = sorted(((task, answer) for task, answer in offered if task.prompt not in trained), key=_frozen_order)
    panel = DOMAIN.tasks(seed_of(seed, "panel"), 1024, {}, refused)
    draws = PLAN.examiner.draws
    return [(task.prompt, answer) for task, answer in fresh[:draws]], [task.prompt for task in panel[:draws]]


def _frozen_order(row: tuple[Task, str]) -> int:
    return seed_of("frozen", row[0].prompt)


def promoted(challenger: Sequence[bool], champion: Sequence[bool], level: float) -> bool:
    """Exact one-sided McNemar test, as the gate does it."""
    from scipy.stats import binomtest

    better = sum(new and not old for new, old in zip(challenger, champion, strict=True))
    worse = sum(old and not new for new, old in zip(challenger, champion, strict=True))
    chance = binomtest(better, better + worse, 0.5, alternative="greater").pvalue if better + worse else 1.0
    return chance < level


def propose(model: Any, seed: int, weights: dict[int, float], refused: frozenset[str], counts: Counter[str]) -> list[Any]:
    """(task, answer, sample index) of a cycle."""
    tasks = DOMAIN.tasks(seed_of(seed, "tasks"), PLAN.generator.tasks, weights, refused)
    asks = [(task, index) for task in tasks for index in range(PLAN.generator.samples)]
    asks.sort(key=lambda ask: (len(ask[0].prompt.split()), len(ask[0].prompt), ask[0].id, ask[1]))
    rows = [(task.prompt, seed_of(seed, "row", task.id, index)) for task, index in asks]
    answers = sample(model, rows, PLAN.generator.shard_rows, PLAN.generator.temperature, counts)
    return [(task, answer, index) for (task, index), answer in zip(asks, answers, strict=True)]


def accept(proposals: Iterable[Any], passed: Sequence[bool], known: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """At most two different right answers a task, none that the archive has."""
    kept: Counter[str] = Counter()
    places = []
    order = sorted(enumerate(zip(proposals, passed, strict=True)), key=lambda item: (item[1][0][2], item[0]))
    for place, ((task, answer, _), right) in order:
        if right and kept[task.id] < PLAN.verifier.per_task and (task.prompt, answer) not in known:
            known.add((task.prompt, answer))
            kept[task.id] += 1
            places.append((place, (task.prompt, answer)))
    return [row for _, row in sorted(places)]


def main() -> None:
    """Turn the loop and print counts, scores and seconds as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cycles", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    counts: Counter[str] = Counter()
    began = time.monotonic()
    with open_sandbox(PLAN.verifier.minimum_level, PLAN.runtime.sandbox_workers) as sandbox:
        suites = DOMAIN.suites()
        refused = frozenset(task.signature for tasks in suites.values() for task in tasks)
        seed = seed_of("cycle", options.seed, "c0000")
        human_rows = DOMAIN.human(human_seed(seed), refused)
        judged(human_rows, ("visible", "hidden"), sandbox, counts)
        human = [(task.prompt, answer) for task, answer in human_rows]
        champion = FAMILY.create(DOMAIN.alphabet(), seed_of(seed, "model"))
        train(champion, RECIPES.seed, human, [], seed, counts)
        best = evaluate(champion, suites, sandbox, counts)
        first, frozen = champion, frozen_rows(seed, refused, {prompt for prompt, _ in human})
        examine(champion, first, frozen, suites["gate"], 0, seed, sandbox, counts)
        scores, weights, synthetic, known = [headline(best["sealed"], suites)], {}, [], set(human)
        carried = 0.0  # online fallback, as the gate's
        for number in range(1, options.cycles + 1):
            seed = seed_of("cycle", options.seed, cycle_name(number))
            proposals = propose(champion, seed, weights, refused, counts)
            passed = judged([(task, answer) for task, answer, _ in proposals], ("visible", "hidden"), sandbox, counts)
            weights = curriculum(proposals, passed)
            synthetic += accept(proposals, passed, known)
            challenger = copy_of(champion)
            train(challenger, RECIPES.cycle, human, synthetic, seed, counts)
            results = evaluate(challenger, suites, sandbox, counts)
            examine(challenger, first, frozen, suites["gate"], number, seed, sandbox, counts)
            if number == options.cycles:
                asks = [(task, index) for task in suites["sealed"] for index in range(PLAN.evaluator.pass_at.k)]
                rows = [(task.prompt, seed_of(seed, "pass_at", task.id, index)) for task, index in asks]
                answers = sample(challenger, rows, PLAN.evaluator.shard_tasks, PLAN.evaluator.pass_at.temperature, counts)
                judged([(task, answer) for (task, _), answer in zip(asks, answers, strict=True)], ("sealed",), sandbox, counts)
            level = PLAN.gate.alpha / (number * (number + 1)) + carried
            better = promoted(results["gate"], best["gate"], level)
            carried = level if better else 0.0
            if better:
                champion, best = challenger, results
            scores.append(headline(results["sealed"], suites))
    print(json.dumps({"seconds": time.monotonic() - began, "counts": counts, "sealed_headline": scores}))


def human_seed(seed: int) -> int:
    """The seed of the built-in human rows, as the seed phase derives it."""
    return seed_of(seed, "human")


def curriculum(proposals: Sequence[Any], passed: Sequence[bool]) -> dict[int, float]:
    """A level's share of the next tasks."""
    tried, solved = Counter(task.level for task, _, _ in proposals), Counter[int]()
    for (task, _, _), right in zip(proposals, passed, strict=True):
        solved[task.level] += right
    rates = {level: solved[level] / tried[level] for level in sorted(tried)}
    return {level: round(math.sqrt(rate * (1 - rate)) + PLAN.generator.floor, 6) for level, rate in rates.items()}


def headline(passed: Sequence[bool], suites: Any) -> float:
    """Share of the sealed tasks of levels 4 to 8 that are solved."""
    hard = [right for task, right in zip(suites["sealed"], passed, strict=True) if task.level >= PLAN.evaluator.headline[0]]
    return sum(hard) / len(hard)


def copy_of(model: Any) -> Any:
    """The same weights in a model of its own."""
    twin = FAMILY.create(DOMAIN.alphabet(), 0)
    twin.load_state_dict(model.state_dict())
    return twin


if __name__ == "__main__":
    main()
