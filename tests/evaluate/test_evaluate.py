"""The evaluate phase: scores that say how they were obtained, the champion's reused, the sealed suite read once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwright.errors import InfraError, IntegrityError
from loopwright.evaluate import RESULTS, SAMPLES, evaluate, phase
from loopwright.evaluate.scores import wilson
from loopwright.store.tables import read_table, write_table
from loopwright.types import canonical

STEADY = settings(deadline=None, max_examples=50)  # a loaded machine is no defect


def run(lab, model: Path, output: str = "out", champion: Path | None = None, config=None, cycle="c0001"):
    inputs = {"model": model, "suites": lab.root / "suites"}
    inputs |= {"evaluation": champion / "evaluation"} if champion else {}
    return evaluate(config or lab.config(), inputs, lab.context(output, cycle))


def rows(lab, output: str, suite: str):
    return read_table(lab.root / output / "evaluation" / f"{suite}.parquet", RESULTS)


def test_the_first_model_has_nobody_beside_it(lab) -> None:
    summary = run(lab, lab.model("m", 3))
    score = {"value": 0.3, "n": 70, "method": "wilson 95%"}
    assert score.items() <= summary["gate"]["all"].items()
    assert summary["gate"]["all"]["low"] == pytest.approx(0.2048, abs=1e-3)  # Wilson's formula, by hand
    assert summary["gate"]["all"]["high"] == pytest.approx(0.4153, abs=1e-3)
    assert summary["gate"]["headline"]["n"] == 50
    assert list(summary["gate"]["levels"]) == ["2", "3", "4", "5", "6", "7", "8"]
    assert summary["sealed"] == summary["gate"]
    assert (summary["tokens"], summary["reused"], summary["pass_at"]) == (280, False, None)
    assert summary["isolation"] == {"SL3": 140}
    found = rows(lab, "out", "gate")
    assert [row["task"] for row in found] == [task.id for task in lab.suites["gate"]]
    assert found[0] == {
        "task": "gate-2-0", "level": 2, "slices": '{"parity":"even"}', "answer": "gate 2 0!", "status": "PASS",
        "passed": True, "champion": None,
    }  # fmt: skip
    raw = (lab.root / "out" / "evaluation" / "scores.json").read_bytes()
    scores = json.loads(raw)
    assert raw == canonical(scores)
    assert scores["gate"]["slices"]["parity"]["even"]["n"] == 35
    assert scores["gate"]["slices"]["parity"]["even"]["value"] == pytest.approx(2 / 5)
    assert {key: scores["gate"][key] for key in summary["gate"]} == summary["gate"]


def test_the_champion_is_not_sampled_again(lab) -> None:
    run(lab, lab.model("old", 3), "first", cycle="c0000")
    asked = len(lab.executor.items)
    summary = run(lab, lab.model("new", 5), "second", champion=lab.root / "first")
    assert summary["reused"]
    assert {item["model"] for item in lab.executor.items[asked:]} == {str(lab.root / "new")}
    for suite in ("gate", "sealed"):
        assert [row["champion"] for row in rows(lab, "second", suite)] == [row["passed"] for row in rows(lab, "first", suite)]
        assert sum(row["champion"] for row in rows(lab, "second", suite)) == 21


@pytest.mark.parametrize("spoil", ["a task less", "a task more", "another task", "no result"])
def test_a_champion_scored_on_other_tasks_is_no_champion(lab, spoil) -> None:
    run(lab, lab.model("old", 3), "first")
    table = rows(lab, "first", "sealed")
    changed = {
        "a task less": table[1:],
        "a task more": [*table, table[0]],
        "another task": [{**table[0], "task": "x"}, *table[1:]],
        "no result": [{**table[0], "passed": None}, *table[1:]],
    }[spoil]
    write_table(lab.root / "first" / "evaluation" / "sealed.parquet", RESULTS, changed)
    with pytest.raises(IntegrityError, match="sealed"):
        run(lab, lab.model("new", 5), "second", champion=lab.root / "first")


def test_each_suite_is_judged_by_its_own_checks_and_equal_answers_once(lab, monkeypatch) -> None:
    read = []
    original = phase.read_suite
    monkeypatch.setattr(
        phase, "read_suite", lambda folder, name, sealer: (read.append(name), original(folder, name, sealer))[1]
    )
    run(lab, lab.model("m", 3), config=lab.config("c0001"))
    assert read == ["gate", "sealed"]
    assert len(lab.domain.judged) == len(set(lab.domain.judged))
    assert {(task.partition("-")[0], purposes) for task, purposes, _ in lab.domain.judged} == {
        ("gate", ("gate",)),
        ("sealed", ("sealed",)),
    }


def test_pass_at_k_counts_tasks_that_any_draw_solves(lab) -> None:
    summary = run(lab, lab.model("m", 3), config=lab.config("c0001"))
    drawn = read_table(lab.root / "out" / "evaluation" / "sealed_samples.parquet", SAMPLES)
    assert len(drawn) == 70 * 4
    assert [row["sample"] for row in drawn[:5]] == [0, 1, 2, 3, 0]
    solved = {row["task"] for row in drawn if row["passed"]}
    assert 0 < len(solved) < 70
    assert summary["pass_at"]["k"] == 4
    assert summary["pass_at"]["all"]["value"] == len(solved) / 70
    assert summary["pass_at"]["all"]["n"] == 70
    assert summary["tokens"] == 280 + 3 * 280
    assert summary["sealed"]["all"]["value"] == 0.3  # greedy, whatever the draws did


def test_pass_at_k_is_for_the_named_cycles_alone(lab) -> None:
    assert run(lab, lab.model("m", 3), config=lab.config("c0005"))["pass_at"] is None
    assert not (lab.root / "out" / "evaluation" / "sealed_samples.parquet").exists()


def test_a_draw_depends_on_its_task_and_not_on_its_slice(lab) -> None:
    model = lab.model("m", 3)
    for shard in (1, 7, 1000):
        run(lab, model, f"out-{shard}", config=lab.config("c0001", shard_tasks=shard))
    for file in ("gate.parquet", "sealed.parquet", "sealed_samples.parquet", "scores.json"):
        assert len({(lab.root / f"out-{shard}" / "evaluation" / file).read_bytes() for shard in (1, 7, 1000)}) == 1


def test_the_model_is_read_once_per_process_and_anew_when_it_changed(lab, loads) -> None:
    model = lab.model("m", 3)
    run(lab, model, "one")
    assert len(lab.executor.items) == 2 * 3
    assert loads() == 1
    (model / "model.json").write_text("{}")  # another model at the same path: a forced new attempt
    assert run(lab, model, "two")["gate"]["all"]["value"] == 0
    assert loads() == 2


def test_a_failing_machine_is_no_score(lab) -> None:
    model = lab.model("m", 3, **{"sealed 2 9": "~INFRA"})
    with pytest.raises(InfraError, match="1 of 70"):
        run(lab, model)
    assert not (lab.root / "out" / "evaluation").exists()


def test_however_a_candidate_ends_it_did_not_pass(lab) -> None:
    ends = ["~TIMEOUT", "~MEMORY", "~SIGNAL", "~LOAD_ERROR", "~OUTPUT_LIMIT", "~BAD_OUTPUT", ""]
    run(lab, lab.model("m", 0, **{f"gate 2 {number}": end for number, end in enumerate(ends)}))
    found = rows(lab, "out", "gate")[: len(ends)]
    assert [row["status"] for row in found] == [
        "TIMEOUT",
        "MEMORY",
        "SIGNAL",
        "LOAD_ERROR",
        "OUTPUT_LIMIT",
        "BAD_OUTPUT",
        "FAIL",
    ]
    assert not any(row["passed"] for row in found)


def test_a_headline_without_tasks_has_no_score(lab) -> None:
    summary = run(lab, lab.model("m", 3), config=lab.config(headline=(20, 30)))
    assert summary["gate"]["headline"] is None


@STEADY
@given(st.lists(st.booleans(), min_size=1, max_size=300))
def test_a_score_lies_in_its_interval(passed) -> None:
    score = wilson(passed)
    assert 0 <= score.low <= score.value <= score.high <= 1
    assert score.low < score.high
    assert score.n == len(passed)


def test_nothing_has_no_score() -> None:
    assert wilson([]) is None


def test_twins_are_asked_the_gate_suite_and_nothing_else(lab) -> None:
    old, new = lab.model("old", 3), lab.model("new", 5)
    for model, solves in ((old, (2, 4)), (new, (4, 6))):
        for number, count in enumerate(solves, start=1):
            (model / "seeds").mkdir(exist_ok=True)
            lab.model(f"twin-{model.name}-{number}", count).rename(model / "seeds" / str(number))
    first = run(lab, old, "first", cycle="c0000")
    assert first["seeds"] == {"model": [0.3, 0.2, 0.4], "champion": None}
    second = run(lab, new, "second", champion=lab.root / "first")
    assert second["seeds"] == {"model": [0.5, 0.4, 0.6], "champion": [0.3, 0.2, 0.4]}
    assert json.loads((lab.root / "second" / "evaluation" / "seeds.json").read_bytes()) == second["seeds"]
    assert first["gate"]["all"]["value"] == 0.3, "the model's own score is its own"
    asked = [item for item in lab.executor.items if "/seeds/" in item["model"]]
    prompts = {prompt.split()[0] for item in asked for prompt in item["prompts"]}
    assert prompts == {"gate"}


def test_a_suite_without_headline_tasks_can_be_told_and_summed_up() -> None:
    from loopwright.cli.live import describe
    from loopwright.ledger.overview import _headline

    summary = {"gate": {"all": None, "headline": None, "levels": {}}, "tokens": 3}
    assert describe("c0000", "evaluate", "published", {"summary": summary}).split()[:2] == ["c0000", "evaluate"]
    assert _headline(summary["gate"]) is None
