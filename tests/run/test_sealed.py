"""The sealed suite of a real loop: no file of the workspace shows a task of it, and the evaluator reads it."""

from __future__ import annotations

import subprocess

from loopwright.ledger.sealing import ProcessSealer
from loopwright.plugins import load_domain
from loopwright.store.suites import read_suite
from loopwright.workspace import Workspace, fork


def test_no_file_shows_a_sealed_task_and_the_evaluator_opens_them(lab: Workspace) -> None:
    plan = lab.plan()
    tasks = load_domain(plan.domain.name, plan.domain.settings).suites()["sealed"]
    sealer = ProcessSealer(lab.state().workspace)
    assert read_suite(lab.root / "cycles/c0000/suites", "sealed", sealer) == list(tasks)
    assert not (lab.root / "cycles/c0000/suites/sealed.parquet").exists()
    longest = max((task.prompt for task in tasks), key=len)
    found = subprocess.run(["grep", "-raFl", longest, str(lab.root)], capture_output=True, text=True, check=False)
    assert found.stdout == ""
    gate = max((task.prompt for task in load_domain(plan.domain.name, plan.domain.settings).suites()["gate"]), key=len)
    sampled = read_suite(lab.root / "cycles/c0000/suites", "gate", None)
    assert gate in {task.prompt for task in sampled}


def test_a_fork_evaluates_on_the_suite_of_its_origin(lab: Workspace, tmp_path, victim) -> None:
    made = fork(lab, "c0000", tmp_path / "fork", {"name": "fork"})
    assert victim(made.root, 1)["code"] == 0
    scores = made.state().cycles["c0001"].phases["evaluate"].summary["sealed"]["headline"]
    assert scores["n"] > 0
