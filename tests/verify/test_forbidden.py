"""What no challenger may have changed: a recipe proposal that reaches for it is refused, and the reason names it.

The keys are taken from the plan itself, so that what is added to the plan later is forbidden from the first day.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from loopwright.plan import Mix, Plan, Recipe, Recipes, Section
from loopwright.planfile import parse_recipes
from loopwright.train.phase import _recipe_text
from loopwright.verify import merge, verify
from loopwright.verify.recipe import RecipeRefused, changed_recipe

ROOT = Path(__file__).parents[2]
BASE = (ROOT / "src/loopwright/_template/recipe.yaml").read_text(encoding="utf-8")
FLOOR = 0.3


def keys_of(model: Any) -> Iterator[str]:
    """Names of a section's fields and of the sections' in it."""
    if isinstance(model, type) and issubclass(model, Section):
        for name, field in model.model_fields.items():
            yield name
            for inner in (field.annotation, *get_args(field.annotation)):
                yield from keys_of(inner)


PLAN = sorted({*keys_of(Plan)})
UNKNOWN = ["suites", "suite_seed", "heldout", "metric", "policy", "eval", "champion", "__class__", "model_config"]
FILES = [
    *("loop.yaml", "dvc.yaml", "cycles.yaml", "flows/cycle.py", "flows/loop.py", "cluster/local.yaml", "reports/cycle/fields.yaml"),
    *("cycles/c0000/suites/gate.parquet", "cycles/c0000/suites/sealed.parquet", "cycles/c0000/heldout/signatures.parquet"),
    *("cycles/c0001/config/evaluate.json", "cycles/c0001/config/decide.json", "cycles/c0001/decision.json", "ledger/keys.json"),
    *("sources/people.jsonl", "recipes/none.diff", "cycles/c0000/model/recipe.yaml", "./recipe.yaml", "x/../recipe.yaml"),
]  # fmt: skip


def diff(new: str, path: str = "recipe.yaml") -> str:
    return "".join(difflib.unified_diff(BASE.splitlines(True), new.splitlines(True), f"a/{path}", f"b/{path}"))


def refusal(proposal: str) -> str:
    with pytest.raises(RecipeRefused) as refused:
        changed_recipe(proposal, BASE, allowed=("recipe.yaml",), human_floor=FLOOR)
    return str(refused.value)


def test_the_list_is_what_is_meant() -> None:
    assert {"seed", "evaluator", "headline", "pass_at", "gate", "alpha", "max_jump", "verifier", "accept", "domain"} <= {*PLAN}


@pytest.mark.parametrize("key", [*PLAN, *UNKNOWN])
@pytest.mark.parametrize("value", ["7", "{tasks: 1}"])
def test_no_key_of_the_plan_gets_in_at_the_top(key: str, value: str) -> None:
    assert f":{key}:" in refusal(diff(f"{BASE}{key}: {value}\n"))


@pytest.mark.parametrize("key", [key for key in dict.fromkeys((*PLAN, *UNKNOWN, "cycle")) if key not in Recipe.model_fields])
def test_no_key_of_the_plan_gets_in_beside_those_of_training(key: str) -> None:
    said = refusal(diff(BASE.replace("  steps: 220\n", f"  steps: 300\n  {key}: 1\n")))
    assert f":cycle.{key}: unknown key" in said


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("new", [BASE.replace("220", "300"), "{}\n"])
def test_no_other_file_is_changed(path: str, new: str) -> None:
    assert repr(path) in refusal(diff(new, path))
    assert "'recipe.yaml'" in refusal(diff(new).replace("+++ b/recipe.yaml", f"+++ b/{path}"))


@pytest.mark.parametrize("field", Recipe.model_fields)
def test_how_the_first_model_is_made_stays(field: str) -> None:
    recipes = parse_recipes(BASE).model_dump(mode="json")
    value = recipes["seed"][field]
    recipes["seed"][field] = [0.5, 0.5] if field == "betas" else 16 if field == "shards" else value / 2 or 0.5
    if isinstance(value, int):
        recipes["seed"][field] = int(recipes["seed"][field])
    assert "section `seed` may not change" in refusal(diff(yaml.safe_dump(recipes, sort_keys=False)))


def test_the_share_of_human_data_stays_above_the_floor() -> None:
    assert "below the plan's floor of 0.3" in refusal(diff(BASE.replace("human_share: 0.5", "human_share: 0.29")))


HOSTILE = {
    "thousands of brackets": BASE + "x: " + "[" * 20_000 + "]" * 20_000 + "\n",
    "thousands of digits": BASE.replace("steps: 220", "steps: " + "9" * 5000),
    "a date for a key": BASE + "2020-01-01: 1\n",
    "bytes for a key": BASE + "!!binary aGk=: 1\n",
    "a list for a key": BASE + "? [a]\n: 1\n",
    "a second document": BASE + "---\nseed: 1\n",
    "a merged seed": BASE.replace("seed:\n", "<<: {gate: {alpha: 1}}\nseed:\n", 1),
    "infinitely fast": BASE.replace("lr: 0.0015", "lr: 1.0e+400"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_text_that_is_made_to_break_the_reader_is_refused_as_well(name: str) -> None:
    assert "recipe.yaml" in refusal(diff(HOSTILE[name]))


numbers = st.one_of(st.integers(-3, 2000), st.floats(0, 2), st.booleans(), st.none(), st.text(max_size=3))
sections = st.dictionaries(st.sampled_from([*Recipe.model_fields, "seed", "metric"]), numbers, max_size=3)


@settings(deadline=None, max_examples=40)
@example(seed={}, cycle={"steps": 300, "human_share": 0.3}, top={})
@given(seed=sections, cycle=sections, top=st.dictionaries(st.sampled_from(["seed", "gate", "evaluator"]), numbers, max_size=1))
def test_whatever_is_taken_has_changed_training_alone(seed, cycle, top) -> None:
    recipes = parse_recipes(BASE).model_dump(mode="json")
    new = yaml.safe_dump({**recipes, "seed": {**recipes["seed"], **seed}, "cycle": {**recipes["cycle"], **cycle}, **top})
    try:
        text = changed_recipe(diff(new), BASE, allowed=("recipe.yaml",), human_floor=FLOOR)
    except RecipeRefused:
        return
    assert text == new
    old, taken = parse_recipes(BASE), parse_recipes(text)
    assert (taken.seed, {*yaml.safe_load(text)}) == (old.seed, {*Recipes.model_fields})
    assert {*yaml.safe_load(text)["cycle"]} <= {*Recipe.model_fields}
    assert taken.cycle.human_share >= FLOOR


@pytest.mark.parametrize("taken", [True, False])
def test_a_challenger_is_trained_by_the_champions_recipe_and_the_accepted_diff(workspace, row, recorded, taken: bool) -> None:
    """Through verify and merge to the text that the train phase uses and writes into its model."""
    new = BASE.replace("steps: 220", "steps: 300")
    proposal = diff(new) if taken else diff(new.replace("steps: 450", "steps: 1"))
    workspace.propose([row("3 4", "7", 0)], recipe=proposal)
    here, champion = workspace.root / "cycles" / "c0001", workspace.root / "cycles" / "c0000" / "model"
    champion.mkdir()
    (champion / "recipe.yaml").write_text(BASE)
    here.mkdir()
    summary = verify(workspace.config(), workspace.inputs, workspace.context("verified"))
    (workspace.root / "verified" / "accepted").rename(here / "accepted")
    recorded(workspace.root, "cycles/c0001/accepted", "accepted")
    merge(Mix(), {"archive": workspace.inputs["archive"], "accepted": here / "accepted"}, workspace.context("merged"))
    archive = workspace.root / "merged" / "archive"
    used = _recipe_text(None, {"archive": archive, "model": champion})  # it reads its configuration for the first model alone
    assert summary["recipe"]["accepted"] is taken
    assert used == (new if taken else BASE)
    if not taken:
        assert "seed" in summary["recipe"]["reason"]
        assert json.loads((here / "accepted" / "refused_recipe.json").read_bytes())["diff"] == proposal
        assert not (archive / "recipe.yaml").exists()
