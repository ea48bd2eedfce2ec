"""The order and the inputs of a cycle stand in three places; they are the same: flows/cycle.py, dvc.yaml, and replay."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml

from loopwright.phases import SPECS
from loopwright.replay import inputs_of
from loopwright.store.cycles import Item, Maps, write_maps
from loopwright.types import PHASES

ROOT = Path(__file__).parents[2]
STATE = {
    "sources": "sources",
    "recipe": "${item.recipe}",
    "champion": "cycles/${item.parent}/model",
    "champion_scores": "cycles/${item.parent}/evaluation",
    "curriculum": "cycles/${item.prev}/accepted",
    "heldout": "cycles/c0000/heldout",
    "suites": "cycles/c0000/suites",
    "archive": "cycles/${item.prev}/archive",
    "first": "cycles/c0000/model",
    "card": "cycles/${item.prev}/card",
    "error_budget": "cycles/${item.prev}/decision.json",
}


def calls(function: str) -> list[tuple[str, list[str | None]]]:
    """``(phase, inputs as paths)`` of every ``run(...)`` of a function of flows/cycle.py, in the order of the text."""
    tree = ast.parse((ROOT / "flows" / "cycle.py").read_text(encoding="utf-8"))
    body = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function)
    made: dict[str, str] = {}
    for node in ast.walk(body):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            made[node.targets[0].id] = node.value.args[0].value  # type: ignore[attr-defined]
    nodes = [node for node in ast.walk(body) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "run"]
    ordered = sorted(nodes, key=lambda one: one.lineno)
    return [(node.args[0].value, [path(one, made) for one in node.args[2:]]) for node in ordered]  # type: ignore[attr-defined]


def path(argument: ast.expr, made: dict[str, str]) -> str | None:
    if isinstance(argument, ast.Attribute):
        return STATE[argument.attr]
    if isinstance(argument, ast.Subscript):
        return "cycles/${item}/" + argument.slice.value  # type: ignore[attr-defined]
    if isinstance(argument, ast.Name):
        return "cycles/${key}/" + SPECS[made[argument.id]].outputs[0]
    return None


def stages() -> dict[str, dict[str, object]]:
    return yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def outs(stage: dict) -> set[str]:
    return {out if isinstance(out, str) else next(iter(out)) for out in stage["do"]["outs"]}


@pytest.mark.parametrize("call", calls("cycle"), ids=lambda call: f"{call[0]}-{len([one for one in call[1] if one])}")
def test_a_cycles_stage_reads_and_writes_what_the_flow_says(call: tuple[str, list[str | None]]) -> None:
    phase, inputs = call
    untrained = (phase == "decide" and inputs[0] is None) or (phase == "examine" and inputs[1] is None)
    name = f"{phase}-empty" if untrained else phase
    stage = stages()[name]
    config = f"cycles/${{key}}/config/{phase}.json"
    assert set(stage["do"]["deps"]) == {config, *(one for one in inputs if one)}
    folder = "cycles/${key}/"
    assert outs(stage) == {folder + ("decision.json" if one == "decision" else one) for one in SPECS[phase].outputs}
    assert stage["do"]["cmd"] == f"loopwright phase {phase} --cycle ${{key}}"


@pytest.mark.parametrize("call", calls("seed"), ids=lambda call: call[0])
def test_the_first_cycles_stages_read_and_write_what_the_flow_says(call: tuple[str, list[str | None]]) -> None:
    phase, inputs = call
    stage = stages()["seed" if phase == "seed" else f"seed-{phase}"]
    wanted = {one.replace("${key}", "${item}") for one in inputs if one}
    assert set(stage["do"]["deps"]) == {f"cycles/${{item}}/config/{phase}.json", *wanted}


def test_every_phase_has_a_spec_and_every_spec_is_in_the_flow() -> None:
    assert set(SPECS) == set(PHASES)
    assert {phase for phase, _ in calls("cycle") + calls("seed")} == set(PHASES)


def test_replay_reads_what_the_flow_says(tmp_path: Path) -> None:
    write_maps(tmp_path, Maps(cycles={"c0004": Item(parent="c0002", prev="c0003", seed=1)}))
    (tmp_path / "cycles/c0004/evaluation").mkdir(parents=True)
    names = {"${item.recipe}": "recipes/none.diff", "${item.parent}": "c0002", "${item.prev}": "c0003", "${key}": "c0004"}
    for phase, inputs in calls("cycle"):
        if None in inputs:
            continue  # of a cycle without a challenger: the next test
        wanted = []
        for one in inputs:
            for name, value in names.items():
                one = str(one).replace(name, value)  # noqa: PLW2901
            wanted.append(tmp_path / one)
        assert inputs_of(tmp_path, phase, "c0004") == dict(zip(SPECS[phase].inputs, wanted, strict=True))


def test_a_cycle_without_a_challenger_replays_from_what_it_has(tmp_path: Path) -> None:
    write_maps(tmp_path, Maps(cycles={"c0004": Item(parent="c0002", prev="c0003", seed=1)}))
    for phase, inputs in calls("cycle"):
        if None in inputs:
            given = [name for name, one in zip(SPECS[phase].inputs, inputs, strict=True) if one]
            assert list(inputs_of(tmp_path, phase, "c0004")) == given
