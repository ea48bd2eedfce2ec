"""The generate phase: the rows that the plan asks for, the same bytes wherever they are sampled."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from loopwright.errors import IntegrityError, PhaseError
from loopwright.generate import generate
from loopwright.generate.phase import curriculum_weights
from loopwright.plan import Generator
from loopwright.plugins import load_family
from loopwright.store.artifacts import recorded
from loopwright.store.tables import PROPOSALS, SIGNATURES, read_table, read_tasks
from loopwright.types import seed_of

CONFIG = Generator(tasks=11, samples=3, shard_rows=8, max_new_tokens=12)


def inputs(lab: Any, **others: Path) -> dict[str, Path]:
    place = lab.root / "cycles" / "c0000"
    return {"model": place / "model", "accepted": place / "accepted", "heldout": place / "heldout", **others}


def rows(proposals: Path) -> list[list[dict[str, Any]]]:
    return [read_table(path, PROPOSALS) for path in sorted(proposals.glob("shard-*.parquet"))]


def test_every_task_is_answered_as_often_as_the_plan_says(seeded: Any) -> None:
    context = seeded.context("c0001")
    seeded.steps.clear()
    config = Generator(tasks=40, samples=3, shard_rows=50, max_new_tokens=4)
    summary = generate(config, inputs(seeded), context)
    proposals = context.output / "proposals"
    tasks, shards = read_tasks(proposals / "tasks.parquet"), rows(proposals)
    assert [len(shard) for shard in shards] == [50, 50, 20]
    found = [row for shard in shards for row in shard]
    assert len({row["id"] for row in found}) == 120
    assert {(row["task"], row["sample"]) for row in found} == {(task.id, sample) for task in tasks for sample in range(3)}
    prompts = {task.id: (task.prompt, task.level) for task in tasks}
    assert all((row["prompt"], row["level"]) == prompts[row["task"]] for row in found)
    assert all(row["seed"] == seed_of(7, "row", row["task"], row["sample"]) for row in found)
    lengths = [len(row["prompt"].split()) for row in found]
    assert lengths == sorted(lengths)
    counts = {"tasks": 40, "rows": 120, "tokens": sum(row["tokens"] for row in found)}
    heads = sum(len(row["prompt"].split()) + 1 for row in found)  # words and the separator, of kept and discarded samples alike
    assert summary == {"kinds": ["rows"], **counts, "compute": {"prompt_tokens": heads}}
    assert seeded.steps[-1] == (3, 3, "shards")
    assert {task.level for task in tasks} <= set(range(4, 9))
    assert all(set(task.checks) == {"visible", "hidden"} for task in tasks)


def test_the_answers_are_the_champions(seeded: Any) -> None:
    context = seeded.context("c0001")
    generate(CONFIG, inputs(seeded), context)
    family = load_family(**context.refs["model"])
    model = family.load(inputs(seeded)["model"])
    for shard in rows(context.output / "proposals"):
        expected = family.sample(model, [row["prompt"] for row in shard], [row["seed"] for row in shard], 0.8, 12)
        assert [(row["answer"], row["tokens"]) for row in shard] == [(one.text, one.tokens) for one in expected]


def test_the_bytes_do_not_depend_on_who_samples(seeded: Any, files: Any, backwards: Any) -> None:
    here, there = seeded.context("c0001"), seeded.context("c0001", executor=backwards)
    assert generate(CONFIG, inputs(seeded), here) == generate(CONFIG, inputs(seeded), there)
    assert files(here.output) == files(there.output)


def test_another_seed_asks_something_else(seeded: Any) -> None:
    prompts = []
    for seed in (1, 2):
        context = seeded.context("c0001", seed=seed)
        generate(CONFIG, inputs(seeded), context)
        prompts.append({task.prompt for task in read_tasks(context.output / "proposals" / "tasks.parquet")})
    assert prompts[0] != prompts[1]


def test_what_the_suites_hold_is_never_asked(seeded: Any) -> None:
    context = seeded.context("c0001")
    asked: dict[str, Any] = {}

    class Watched:
        def tasks(self, seed: int, count: int, weights: Any, refused: Any) -> Any:
            asked.update(seed=seed, count=count, weights=weights, refused=refused)
            return seeded.domain.tasks(seed, count, weights, refused)

    generate(CONFIG, inputs(seeded), seeded.context("c0001", domain=Watched()))
    held = read_table(inputs(seeded)["heldout"] / "signatures.parquet", SIGNATURES)
    assert asked == {
        "seed": seed_of(context.seed, "tasks"),
        "count": 11,
        "weights": {},
        "refused": frozenset(row["signature"] for row in held),
    }
    assert len(asked["refused"]) == 42


def test_the_record_says_which_model_answered(seeded: Any) -> None:
    context = seeded.context("c0001")
    summary = generate(CONFIG, inputs(seeded), context)
    described = json.loads((context.output / "proposals" / "generation.json").read_bytes())
    assert described["model"] == recorded(seeded.root, "cycles/c0000/model").digest
    assert {name: described[name] for name in summary if name != "compute"} | {"compute": summary["compute"]} == summary
    assert described["temperature"] == 0.8


def test_a_recipe_diff_is_passed_on_and_an_empty_one_is_none(seeded: Any, tmp_path: Path) -> None:
    empty, full = tmp_path / "none.diff", tmp_path / "faster.diff"
    empty.touch()
    full.write_bytes(b"--- recipe.yaml\n+++ recipe.yaml\n")
    first, second = seeded.context("c0001"), seeded.context("c0001")
    assert generate(CONFIG, inputs(seeded, recipe=empty), first)["kinds"] == ["rows"]
    assert not (first.output / "proposals" / "recipe.diff").exists()
    assert generate(CONFIG, inputs(seeded, recipe=full), second)["kinds"] == ["rows", "recipe"]
    assert (second.output / "proposals" / "recipe.diff").read_bytes() == full.read_bytes()


def test_levels_are_drawn_by_how_much_there_is_to_learn(tmp_path: Path) -> None:
    path = tmp_path / "curriculum.json"
    path.write_text(json.dumps({"levels": {"5": {"rate": 0.5}, "4": {"rate": 1.0}, "8": {"rate": 0}}}))
    assert curriculum_weights(path, 0.04) == {4: 0.04, 5: 0.54, 8: 0.04}
    path.write_text(json.dumps({"levels": {"6": {"rate": 0.1}}}))
    assert curriculum_weights(path, 0.0)[6] == pytest.approx(math.sqrt(0.09), abs=1e-6)


def test_before_the_first_cycle_the_domain_starts_as_it_likes(seeded: Any) -> None:
    assert curriculum_weights(inputs(seeded)["accepted"] / "curriculum.json", 0.04) == {}


@pytest.mark.parametrize("text", ["", "{}", '{"levels": {"4": {}}}', '{"levels": {"x": {"rate": 1}}}', '{"levels": [1]}'])
def test_a_damaged_curriculum_is_an_integrity_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "curriculum.json").write_text(text)
    with pytest.raises(IntegrityError, match=r"curriculum\.json"):
        curriculum_weights(tmp_path / "curriculum.json", 0.04)


def test_a_domain_that_runs_dry_says_so(seeded: Any) -> None:
    class Dry:
        def tasks(self, *_: Any) -> Any:
            raise ValueError("level 4 has no more new tasks")

    with pytest.raises(PhaseError, match="level 4 has no more") as dry:
        generate(CONFIG, inputs(seeded), seeded.context("c0001", domain=Dry()))
    assert "generator.tasks" in dry.value.next_step
