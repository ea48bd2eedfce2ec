"""kill -9 at every boundary and in the middle of every phase: nothing is lost, nothing is done twice, the end is the same."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loopwright.ledger.verify import verify
from loopwright.workspace import Workspace
from tests.run.small import make_small

BEFORE = ("started", "middle", "worked", "sealed", "placed", "versioned", "recorded")
AFTER = ("published",)
"""A phase that is recorded is not run again, so what comes after that is reached in another series of kills."""
SEED = ("seed", "train", "evaluate", "examine", "decide")
TURN = ("generate", "verify", "merge", "train", "evaluate", "examine", "decide")
SILENT = {"verify", "merge", "decide"}
"""Phases that report no progress here and so have no middle (verify judges nothing in this arm; seed judges as it does)."""


def outcome(workspace: Workspace) -> dict[str, Any]:
    """Artifacts and decisions: what must not depend on how often a run was killed."""
    return {
        name: (record.action, {(item.kind, item.digest) for done in record.phases.values() for item in done.artifacts})
        for name, record in workspace.state().cycles.items()
    }


def boundaries(cycle: str, phases: tuple[str, ...], steps: tuple[str, ...]) -> list[tuple[str, str, str]]:
    inside = [(cycle, phase, step) for phase in phases for step in steps if step != "middle" or phase not in SILENT]
    promoted = ("signed",) if cycle == "c0000" else ()  # twenty steps teach nothing that would be promoted
    ends = ("decided", *promoted, "checkpointed") if steps == BEFORE else ("committed",)
    return [(cycle, "", "opened"), *inside, *((cycle, "", end) for end in ends)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, victim: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    workspace = make_small(tmp_path_factory.mktemp("calm") / "lab")
    assert victim(workspace.root, 1) == {"signal": None, "code": 0}
    return outcome(workspace)


@pytest.mark.parametrize("steps", [BEFORE, AFTER], ids=["until-recorded", "after"])
def test_killed_at_every_boundary_it_ends_like_the_undisturbed_run(
    tmp_path: Path, victim: Callable[..., dict[str, Any]], undisturbed: dict[str, Any], steps: tuple[str, ...]
) -> None:
    workspace = make_small(tmp_path / "lab")
    for kill in boundaries("c0000", SEED, steps) + boundaries("c0001", TURN, steps):
        assert victim(workspace.root, 1, kill) == {"signal": signal.SIGKILL, "code": None}, kill
    assert victim(workspace.root, 1) == {"signal": None, "code": 0}
    assert outcome(workspace) == undisturbed
    ledger = workspace.ledger()
    phases = [statement for statement in ledger.statements() if statement.kind == "phase"]
    ledger.close()
    assert max(Counter((one.predicate["cycle"], one.predicate["phase"]) for one in phases).values()) == 1
    assert max(Counter(one.predicate["key"] for one in phases).values()) == 1
    assert verify(workspace.root).findings == ()
    seen = Counter((workspace.private / "seen.txt").read_text(encoding="utf-8").splitlines())
    repeated = {line: count for line, count in seen.items() if line.endswith(" published") and count > 1}
    assert repeated == {}
    assert not list((workspace.private / "scratch").glob("*/result.json"))


@pytest.mark.parametrize(("phase", "step"), [("train", "middle"), ("generate", "middle"), ("merge", "published")])
def test_told_to_end_it_keeps_what_is_done(
    lab: Workspace, victim: Callable[..., dict[str, Any]], undisturbed: dict[str, Any], phase: str, step: str
) -> None:
    """SIGTERM, as before a machine is taken away: training saves the very step, and nothing is done again."""
    assert victim(lab.root, 1, ("c0001", phase, step), by=signal.SIGTERM) == {"signal": None, "code": 143}
    said = (lab.private / "said.txt").read_text()
    assert said.startswith("Preempted: told to end")
    failures = lab.state().cycles["c0001"].failures
    assert [(one["phase"], one["error"]) for one in failures] == ([] if step == "published" else [(phase, "Preempted")])
    if phase == "train":
        assert "saved at step 11 of 20" in said
        assert list((lab.private / "scratch").glob("train-*/scratch/*/step_00000011/COMPLETE.json"))
    assert victim(lab.root, 1) == {"signal": None, "code": 0}
    assert outcome(lab) == undisturbed


def test_a_second_run_repeats_nothing(tmp_path: Path, victim: Callable[..., dict[str, Any]]) -> None:
    workspace = make_small(tmp_path / "lab")
    assert victim(workspace.root, 0)["code"] == 0
    leaves = workspace.state().leaves
    assert victim(workspace.root, 0)["code"] == 0
    assert workspace.state().leaves == leaves
