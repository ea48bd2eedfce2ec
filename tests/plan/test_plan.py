"""The plan refuses what it may not say, and says where, what it saw and what is allowed."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwright.errors import PlanError
from loopwright.plan import Plan
from loopwright.planfile import load_plan, parse_recipes, plan_schema
from loopwright.sections import resolve
from loopwright.workspace import set_plan, template

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(path for path in ROOT.rglob("loop*.yaml") if not {".venv", "demo"} & set(path.relative_to(ROOT).parts))


def read(tmp_path: Path, text: str) -> Plan:
    path = tmp_path / "loop.yaml"
    path.write_text(text, encoding="utf-8")
    return load_plan(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: lab\ngenerator:\n  task: 5\n", ["loop.yaml:3:generator.task", "5", "did you mean tasks?", "tasks, samples"]),
        ("generator: {samples: four}\n", ["loop.yaml:1:generator.samples", '"four"', "valid integer"]),
        ("generator: {samples: '4'}\n", ["loop.yaml:1:generator.samples", '"4"', "valid integer"]),
        ("generator: {samples: true}\n", ["generator.samples", "true", "valid integer"]),
        ("gate:\n\n  alpha: 1.5\n", ["loop.yaml:3:gate.alpha", "1.5", "less than 1"]),
        ("gate: {alpha: .nan}\n", ["gate.alpha", "allowed"]),
        ("evaluator: {headline: [8, 4]}\n", ["loop.yaml:1:evaluator", "must not fall"]),
        ("verifier: {accept: everything}\n", ["verifier.accept", '"everything"', "'verified' or 'unsafe_unverified'"]),
        ("sources: [{path: /etc/passwd, licence: x, origin: y}]\n", ["sources.0.path", "/etc/passwd"]),
        ("sources: [{path: sources/../x.jsonl, licence: x, origin: y}]\n", ["sources.0.path"]),
        ("seed: 1\nname: lab\nseed: 2\n", ["loop.yaml:3:seed", "given twice", "line 1"]),
        ("- a\n", ["loop.yaml:1", "keys and values"]),
        ("a: [\n", ["loop.yaml:2", "not YAML"]),
        ("nmae: lab\n", ["loop.yaml:1:nmae", "did you mean name?"]),
    ],
)
def test_a_wrong_plan_says_where_what_and_what_is_allowed(tmp_path: Path, text: str, expected: list[str]) -> None:
    with pytest.raises(PlanError) as caught:
        read(tmp_path, text)
    for piece in expected:
        assert piece in caught.value.message
    assert caught.value.exit_code == 2
    assert caught.value.next_step


def test_where_the_record_is_written_is_no_decision_and_no_password_is_shown(tmp_path: Path) -> None:
    plain = read(tmp_path, "name: lab\n")
    url = "postgresql+pg8000://loop@db.example:5433/base?schema=lab"
    assert read(tmp_path, f"name: lab\nrecord: {{url: '{url}'}}\n").digest == plain.digest
    with pytest.raises(PlanError, match=r"loop.yaml:1:record\.url: saw .*loop:\.\.\.@db") as caught:
        read(tmp_path, "record: {url: 'postgresql+pg8000://loop:s3cr:et@db.example/base'}\n")
    assert "s3cr" not in caught.value.message


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(PlanError) as caught:
        read(tmp_path, "seed: -1\ngate: {alpha: 2}\nverifier: {per_task: 0}\n")
    assert len(caught.value.message.splitlines()) == 3


def test_a_missing_plan_and_a_binary_one_are_plan_errors(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="not found"):
        load_plan(tmp_path / "loop.yaml")
    (tmp_path / "loop.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PlanError, match="not UTF-8"):
        load_plan(tmp_path / "loop.yaml")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_plan_that_ships_loads_and_fits_its_schema(path: Path) -> None:
    plan = load_plan(path)
    jsonschema.Draft202012Validator(plan_schema()).validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert plan == Plan.model_validate_json(json.dumps(plan.model_dump(mode="json")))


def test_the_shipped_recipe_is_valid_and_a_wrong_one_is_refused() -> None:
    text = template("recipe.yaml").read_text(encoding="utf-8")
    assert parse_recipes(text).cycle.steps == 220
    with pytest.raises(PlanError, match="multiple of shards"):
        parse_recipes(text.replace("batch: 64", "batch: 63"))
    with pytest.raises(PlanError, match="below steps"):
        parse_recipes(text.replace("warmup: 20", "warmup: 220"))


def test_the_schema_refuses_what_the_model_refuses() -> None:
    validator = jsonschema.Draft202012Validator(plan_schema())
    assert not validator.is_valid({"generator": {"task": 5}})
    assert not validator.is_valid({"gate": {"alpha": 2}})


@settings(deadline=None)  # a loaded machine is no defect
@given(seed=st.integers(0, 2**40), tasks=st.integers(1, 10**6), alpha=st.floats(0.001, 0.999))
def test_the_digest_depends_on_decisions_and_not_on_where_work_runs(seed: int, tasks: int, alpha: float) -> None:
    data = {"seed": seed, "generator": {"tasks": tasks}, "gate": {"alpha": alpha}}
    plan = Plan.model_validate(data)
    elsewhere = Plan.model_validate({**data, "runtime": {"profile": "in-process"}, "cycles": 9})
    assert plan.digest == elsewhere.digest
    assert plan.digest != Plan.model_validate({**data, "seed": seed + 1}).digest


def test_resolving_leaves_nothing_open() -> None:
    plan = Plan(cycles=3)
    assert resolve(plan, "c0003", "text").evaluator.pass_at.cycles == ("c0003",)
    assert resolve(plan, "c0002", "text").evaluator.pass_at.cycles == ()
    assert resolve(plan, "c0000", "text").trainer.recipe == "text"
    assert resolve(plan, "c0001", "text").trainer.recipe is None


def test_setting_a_key_keeps_the_comments(tmp_path: Path) -> None:
    path = tmp_path / "loop.yaml"
    path.write_text(template("loop.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    set_plan(tmp_path, {"seed": 7, "generator.tasks": 50})
    text = path.read_text(encoding="utf-8")
    assert "# The plan: all that a person decides" in text
    assert "# what the loop gets better at" in text
    assert load_plan(path).seed == 7
    assert load_plan(path).generator.tasks == 50


def test_a_fresh_workspace_has_the_documented_defaults() -> None:
    """`loopwright init` copies a file that names some of them: it must not be weaker than what the plan is when it is silent."""
    shipped, silent = load_plan(template("loop.yaml")), Plan()
    assert shipped.model_copy(update={"model": silent.model}) == silent
