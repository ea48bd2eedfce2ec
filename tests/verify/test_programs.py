"""The verify phase with the real domain `programs` and the real sandbox: what runs, what lies, what peeks, what hangs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from loopwright.domains.contamination import FILE, NGRAMS, rows_of
from loopwright.domains.operations import answer_of, steps_of
from loopwright.plugins import load_domain
from loopwright.sandbox import Limits, Sandbox
from loopwright.sandbox.pool import open_sandbox
from loopwright.store.tables import ROWS, SIGNATURES, read_table, write_table
from loopwright.types import Task
from loopwright.verify import verify
from loopwright.verify.phase import DETAILS


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with open_sandbox("SL1", workers=2, limits=Limits(wall_seconds=1.0)) as opened:
        yield opened


def memorised(task: Task) -> str:
    """A program that knows the visible checks by heart, as if they had leaked."""
    known = {
        repr(given): output
        for given, output in zip(*(getattr(task.checks["visible"], name) for name in ("inputs", "outputs")), strict=True)
    }
    return f"x={known!r}.get(repr(x), x)"


def test_only_what_computes_the_answer_is_accepted(workspace, row, sandbox) -> None:
    domain = load_domain("programs", {})
    held = domain.suites()["gate"][0]
    write_table(
        workspace.inputs["heldout"] / "signatures.parquet", SIGNATURES, [{"signature": held.signature, "suite": "gate"}]
    )
    tasks = domain.tasks(3, 4, {2: 1.0, 4: 1.0}, frozenset({held.signature}))
    right = [answer_of(steps_of(task.prompt)) for task in tasks]
    first = tasks[0]
    offers = [
        *((task, answer, 0) for task, answer in zip(tasks, right, strict=True)),
        (first, right[0] + "\nx=[v for v in x]", 1),  # another program that does the same
        (first, right[0] + "\nx=list(x)", 2),  # and one more than is wanted
        (first, right[0], 3),
        (first, "x=x", 4),
        (first, memorised(first), 5),
        (first, "x=(", 6),
        (first, "while True: pass", 7),
        (first, "import os\nos._exit(0)", 8),
        (first, "print('PASS')\nraise SystemExit(0)", 9),
        (first, "class A(list):\n  __eq__ = lambda *_: True\nx=A()", 10),
        (held, answer_of(steps_of(held.prompt)), 0),
    ]
    rows = [
        row(
            "1",
            answer,
            sample,
            id=f"{task.id}-{sample}",
            task=domain.task(task.prompt).id,
            prompt=task.prompt,
            level=task.level,
        )
        for task, answer, sample in offers
    ]
    workspace.domain, workspace.jail = domain, sandbox
    workspace.propose(rows)
    summary = verify(workspace.config(minimum_level="SL1", gold=0), workspace.inputs, workspace.context())
    folder = workspace.root / "out" / "accepted"
    accepted = {(found["prompt"], found["answer"]) for found in read_table(folder / "rows.parquet", ROWS)}
    expected = {(task.prompt, answer) for task, answer in zip(tasks, right, strict=True)}
    assert accepted == expected | {(first.prompt, right[0] + "\nx=[v for v in x]")}
    reasons = {found["id"].split("-")[1]: found["reason"] for found in read_table(folder / "refused.parquet", DETAILS)}
    assert {sample: reasons[sample] for sample in ("0", "2", "3", "4", "5", "7")} == {
        "0": "held out",
        "2": "over per task",
        "3": "duplicate in cycle",
        "4": "visible check failed",
        "5": "hidden check failed",
        "7": "timeout",
    }
    assert reasons["6"] in {"load error", "bad output"}
    assert reasons["8"] == "unsafe code"
    assert all(sample in reasons for sample in ("9", "10"))
    assert sum(summary["isolation"].values()) == 12  # the repeated, the held-out and the unsafe answer never ran
    assert summary["scanned"] == 13
    assert set(summary["isolation"]) == {sandbox.level}


def test_unsafe_code_runs_only_where_the_plan_lets_it(workspace, row, sandbox) -> None:
    """The same answer, right but for what it imports, with and without the scan."""
    domain = load_domain("programs", {})
    task = domain.task("rev")
    answer = answer_of(steps_of("rev")) + "\nimport json"
    workspace.domain, workspace.jail = domain, sandbox
    workspace.propose([row("1", answer, 0, task=task.id, prompt="rev", level=1)])
    outcomes = {}
    for scan in (True, False):
        summary = verify(
            workspace.config(minimum_level="SL1", gold=0, scan=scan), workspace.inputs, workspace.context(f"out-{scan}")
        )
        refused = read_table(workspace.root / f"out-{scan}" / "accepted" / "refused.parquet", DETAILS)
        outcomes[scan] = (summary["scanned"], summary["isolation"], [(found["reason"], found["detail"]) for found in refused])
    assert outcomes == {True: (1, {}, [("unsafe code", "import json")]), False: (0, {sandbox.level: 1}, [])}


@pytest.mark.parametrize("accept", ["verified", "unsafe_unverified"])
def test_everything_leaked_from_a_suite_is_found_and_nothing_of_it_is_admitted(workspace, row, sandbox, accept: str) -> None:
    """Fifty tasks of each frozen suite, and the stress suite, with right answers; in the control arm as well (T18)."""
    domain = load_domain("programs", {})
    suites = domain.suites()
    leaked = [task for suite in ("gate", "sealed") for task in suites[suite][::4][:50]]
    leaked += [task for tasks in domain.stress().values() for task in tasks if task.checks]
    assert len(leaked) > 150
    held = [{"signature": task.signature, "suite": suite} for suite in ("gate", "sealed") for task in suites[suite]]
    write_table(workspace.inputs["heldout"] / "signatures.parquet", SIGNATURES, held)
    write_table(workspace.inputs["heldout"] / FILE, NGRAMS, rows_of(suites))
    innocent = domain.tasks(3, 8, {2: 1.0, 4: 1.0}, frozenset(each["signature"] for each in held))
    rows = []
    for place, task in enumerate([*leaked, *innocent]):
        try:
            named, answer = domain.task(task.prompt).id, answer_of(steps_of(task.prompt))
        except ValueError:  # worded as no task is
            named, answer = task.id, "x=x[::-1]"
        rows.append(row("1", answer, 0, id=f"r{place}", task=named, prompt=task.prompt, level=task.level))
    workspace.domain, workspace.jail = domain, sandbox
    workspace.propose(rows)
    verify(workspace.config(minimum_level="SL1", gold=0, accept=accept), workspace.inputs, workspace.context())
    folder = workspace.root / "out" / "accepted"
    assert {found["prompt"] for found in read_table(folder / "rows.parquet", ROWS)} == {task.prompt for task in innocent}
    refused = [found["reason"] for found in read_table(folder / "refused.parquet", DETAILS)]
    assert len(refused) == len(leaked)
    assert set(refused) == {"held out", "unknown task"}
    assert refused.count("held out") >= 100
