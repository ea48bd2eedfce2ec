"""The seed phase: frozen suites that nobody else sees, human rows that were judged, the first link of the archive."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from loopwright.errors import InfraError, PhaseError, PlanError
from loopwright.generate.frozen import HUMAN, PANEL
from loopwright.generate.human import seed
from loopwright.plan import Source
from loopwright.sections import SeedSection
from loopwright.store.archive import shards
from loopwright.store.tables import REFUSED, ROWS, SIGNATURES, read_table, read_tasks
from loopwright.types import Verdict

SOURCE = Source(path="sources/people/rows.jsonl", licence="CC-BY-4.0", origin="a survey")


class Changed:
    """The domain with some of its methods replaced."""

    def __init__(self, domain: Any, **methods: Any) -> None:
        self._domain, self._methods = domain, methods

    def __getattr__(self, name: str) -> Any:
        return self._methods.get(name) or getattr(self._domain, name)


def write_source(lab: Any, *lines: Any) -> None:
    path = lab.root / SOURCE.path
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))


def test_suites_heldout_rows_and_archive_belong_together(seeded: Any) -> None:
    place = seeded.root / "cycles" / "c0000"
    held = read_table(place / "heldout" / "signatures.parquet", SIGNATURES)
    for suite in ("gate", "sealed"):
        tasks = read_tasks(place / "suites" / f"{suite}.parquet")
        assert len(tasks) == 21
        assert all(set(task.checks) == {suite} for task in tasks)
        assert {task.signature for task in tasks} == {row["signature"] for row in held if row["suite"] == suite}
    rows = read_table(place / "accepted" / "rows.parquet", ROWS)
    assert not {row["signature"] for row in rows} & {row["signature"] for row in held}
    assert {row["level"] for row in rows} == {1, 2, 3}
    assert {row["origin"] for row in rows} == {"human"}
    assert {row["licence"] for row in rows} == {"Apache-2.0"}
    assert {row["verifier"] for row in rows} == {"loopwright/programs@0.1.0"}
    assert len({row["id"] for row in rows}) == len(rows)
    assert json.loads((place / "accepted" / "curriculum.json").read_bytes()) == {"levels": {}}
    chain = shards(seeded.root, "cycles/c0000/archive")  # checks the digests
    assert [(shard.rows, shard.human) for shard in chain] == [(len(rows), len(rows))]


def test_nobody_but_the_evaluator_can_read_a_suite_task(seeded: Any) -> None:
    place = seeded.root / "cycles" / "c0000"
    prompts = {task.prompt for suite in ("gate", "sealed") for task in read_tasks(place / "suites" / f"{suite}.parquet")}
    for name in ("heldout", "accepted", "archive"):
        for path in (place / name).iterdir():
            text = path.read_bytes()
            assert not [prompt for prompt in prompts if f'"{prompt}"'.encode() in text]


def test_the_same_seed_gives_the_same_bytes_and_the_summary_counts(lab: Any, files: Any) -> None:
    summary, first = lab.seed()
    _, second = lab.seed()
    assert files(first) == files(second)
    counted = {
        "human_rows": len(read_table(first / "accepted" / "rows.parquet", ROWS)),
        "frozen_rows": len(read_table(first / "suites" / "human.parquet", HUMAN)),
        "panel_prompts": len(read_table(first / "suites" / "panel.parquet", PANEL)),
    }
    assert summary == {**counted, "gate_tasks": 21, "sealed_tasks": 21, "refused": {}}
    assert min(counted.values()) > 20


def test_each_row_of_a_source_is_judged_and_refused_ones_are_kept(lab: Any) -> None:
    gate = lab.domain.suites()["gate"][0]
    built_in = lab.domain.human(1, frozenset())[0]
    write_source(
        lab,
        {"prompt": "neg sort add 1 sq", "answer": "x=[v*v for v in x]\nx=[v+1 for v in x]\nx=sorted(x)\nx=[-v for v in x]"},
        {"prompt": "neg sort add 1 sq", "answer": "x=[-v for v in x]"},
        {"prompt": "neg sort add 1 sq", "answer": "x=(("},
        {"prompt": gate.prompt, "answer": "x=x"},
        {"prompt": "juggle 3", "answer": "x=x"},
        {"prompt": built_in[0].prompt, "answer": built_in[1]},
        {"prompt": "rev"},
        {"prompt": "rev", "answer": 3},
        "not JSON",
        "",
    )
    summary, output = lab.seed(SOURCE)
    assert summary["refused"] == {
        "check failed": 1,
        "duplicate": 1,
        "held out": 1,
        "load error": 1,
        "not a row": 3,
        "unknown task": 1,
    }
    new = [row for row in read_table(output / "accepted" / "rows.parquet", ROWS) if row["licence"] == "CC-BY-4.0"]
    assert [(row["prompt"], row["level"], row["origin"]) for row in new] == [("neg sort add 1 sq", 4, "human")]
    refused = read_table(output / "accepted" / "refused.parquet", REFUSED)
    details = {row["reason"]: row["detail"] for row in refused}
    assert details["unknown task"].startswith("sources/people/rows.jsonl:5: ")
    assert details["held out"] == "its behaviour is in the gate suite"
    assert details["check failed"] == "visible check 0"


def test_a_source_that_is_not_there_is_named(lab: Any) -> None:
    with pytest.raises(PhaseError, match=r"sources/people/rows\.jsonl cannot be read") as missing:
        lab.seed(SOURCE)
    assert "loop.yaml" in missing.value.next_step


def test_without_human_data_there_is_no_loop(lab: Any) -> None:
    lab.domain = Changed(lab.domain, human=lambda seed, refused: [])
    with pytest.raises(PhaseError, match="no human data") as refused:
        lab.seed()
    assert "sources" in refused.value.next_step


def test_suites_that_share_a_behaviour_are_refused(lab: Any) -> None:
    suites = lab.domain.suites()
    lab.domain = Changed(lab.domain, suites=lambda: {"gate": suites["gate"], "sealed": suites["gate"][:1]})
    with pytest.raises(PhaseError, match="two suite tasks ask for the same"):
        lab.seed()


def test_a_row_that_cannot_be_judged_is_no_verdict(lab: Any) -> None:
    lost = Verdict(status="INFRA", level="SL1", reason="no processes left")
    lab.domain = Changed(lab.domain, judge=lambda pairs, *rest: [lost for _ in pairs])
    with pytest.raises(InfraError, match="no processes left"):
        lab.seed()


def test_a_built_in_answer_that_is_wrong_is_refused_too(lab: Any) -> None:
    human = lab.domain.human(7, frozenset())
    lab.domain = Changed(lab.domain, human=lambda seed, refused: [(human[0][0], "x=x+x+x"), *human[1:5]])
    summary, _ = lab.seed()
    assert summary["refused"] == {"check failed": 1}


def test_human_rows_without_hidden_checks_need_the_plans_word(lab: Any) -> None:
    def visible(*_: Any) -> list[Any]:
        rows = lab_domain.human(1, frozenset())[:4]
        return [(replace(task, checks={"visible": task.checks["visible"]}), answer) for task, answer in rows]

    lab_domain = lab.domain
    lab.domain = Changed(lab_domain, human=visible)
    with pytest.raises(PlanError, match="without a hidden check"):
        lab.seed()
    context = lab.context("c0000")
    section = SeedSection(sources=(), unsafe_no_hidden_tests=True)
    assert seed(section, {"sources": lab.root / "sources"}, context)["human_rows"] == 4


def test_a_source_that_holds_suite_text_is_refused(lab: Any) -> None:
    """The task is another; its words are copied into the answer."""
    long = next(task for task in lab.domain.suites()["sealed"] if len(task.prompt.split()) >= 13)
    write_source(lab, {"prompt": "rev", "answer": f"x=x[::-1] # {long.prompt}"})
    summary, place = lab.seed(SOURCE)
    assert summary["refused"] == {"contaminated": 1}
    (row,) = read_table(place / "accepted" / "refused.parquet", REFUSED)
    assert row["detail"] == "it holds text of the sealed suite"
