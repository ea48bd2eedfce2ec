"""The evaluate phase and the gate after it, with the real domain, model family, executor and sandbox."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from loopwright.domains.operations import answer_of, steps_of
from loopwright.evaluate import RESULTS, evaluate
from loopwright.gate import decide
from loopwright.plugins import PhaseContext, load_domain, load_family
from loopwright.runtime.inprocess import InProcessExecutor
from loopwright.sandbox import Sandbox
from loopwright.sandbox.pool import open_sandbox
from loopwright.sections import DecideSection
from loopwright.store.tables import read_table, write_table, write_tasks

PROGRAMS = {"name": "programs", "settings": {"suite_per_level": 6}}
TINY = {"name": "tiny-transformer", "settings": {"width": 16, "layers": 1, "heads": 1}}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with open_sandbox("SL1", workers=2) as opened:
        yield opened


@pytest.fixture
def context(tmp_path: Path, sandbox: Sandbox) -> PhaseContext:
    """A workspace with the domain's suites and a model that knows nothing yet."""
    domain, family = load_domain(**PROGRAMS), load_family(**TINY)
    for suite, tasks in domain.suites().items():
        write_tasks(tmp_path / "suites" / f"{suite}.parquet", tasks)
    family.save(family.create(domain.alphabet(), 1), tmp_path / "model")
    (tmp_path / "out").mkdir()
    return PhaseContext(
        cycle="c0000", root=tmp_path, seed=5, output=tmp_path / "out", scratch=tmp_path, domain=domain, family=family,
        executor=InProcessExecutor(), sandbox=sandbox, progress=lambda *_: None, refs={"domain": PROGRAMS, "model": TINY},
    )  # fmt: skip


def test_a_model_that_knows_nothing_scores_nothing_and_becomes_the_first_champion(lab, context) -> None:
    inputs = {"model": context.root / "model", "suites": context.root / "suites"}
    config = lab.config("c0000", max_new_tokens=12, shard_tasks=16)
    summary = evaluate(config, inputs, context)
    assert summary["gate"]["all"]["n"] == summary["sealed"]["all"]["n"] == summary["pass_at"]["all"]["n"] == 42
    assert summary["gate"]["all"]["value"] < 0.1
    assert set(summary["isolation"]) == {context.sandbox.level}
    decision = decide(DecideSection(headline=(4, 8)), {"evaluation": context.output / "evaluation"}, context)
    assert decision["action"] == "promote"
    again = dataclasses.replace(context, output=context.root / "again")
    again.output.mkdir()
    assert evaluate(config, inputs, again) == summary
    for file in (context.output / "evaluation").iterdir():
        assert file.read_bytes() == (again.output / "evaluation" / file.name).read_bytes()


def test_a_model_that_knows_the_answers_takes_its_place(lab, context, monkeypatch) -> None:
    """The answers stand in for a trained model; everything around them is real."""
    inputs = {"model": context.root / "model", "suites": context.root / "suites"}
    config = lab.config(max_new_tokens=12)
    evaluate(config, inputs, context)
    decide(DecideSection(headline=(4, 8)), {"evaluation": context.output / "evaluation"}, context)

    def reference(item):
        return [(answer_of(steps_of(prompt)) if len(steps_of(prompt)) <= 4 else "x=(", 5) for prompt in item["prompts"]]

    monkeypatch.setattr("loopwright.evaluate.sampling.sample_tasks", reference)
    monkeypatch.setattr(context.executor, "map", lambda function, items, *_: [function(item) for item in items])
    later = dataclasses.replace(context, cycle="c0001", output=context.root / "later")
    later.output.mkdir()
    summary = evaluate(config, {**inputs, "evaluation": context.output / "evaluation"}, later)
    assert summary["gate"]["levels"]["2"]["value"] == summary["gate"]["levels"]["4"]["value"] == 1.0
    rows = read_table(later.output / "evaluation" / "gate.parquet", RESULTS)
    assert all(row["passed"] == (row["level"] <= 4) for row in rows)
    assert {row["status"] for row in rows} == {"PASS", "LOAD_ERROR"}
    evidence = {"evaluation": later.output / "evaluation", "decision": context.output / "decision.json"}
    assert decide(DecideSection(headline=(4, 8)), evidence, later)["action"] == "hold", "too good to believe without a person"
    decision = decide(DecideSection(headline=(4, 8), max_jump=1.0), evidence, later)
    assert decision["action"] == "promote"
    assert decision["gain"]["n"] == 42
    write_table(later.output / "evaluation" / "gate.parquet", RESULTS, [{**row, "passed": row["champion"]} for row in rows])
    assert decide(DecideSection(headline=(4, 8)), evidence, later)["action"] == "reject"
    assert json.loads((later.output / "decision.json").read_bytes())["look"] == 1
