"""What may go wrong around a run: each refusal says what it is and what to do, and nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loopwright.errors import LeaseHeld, WorkspaceError
from loopwright.session import open_run
from loopwright.workspace import Workspace, create, find, load_flow, set_plan
from tests.run.small import make_small, small_recipe

LOOPWRIGHT = (sys.executable, "-m", "loopwright")


NO_RAY = """
import importlib.machinery, sys
class Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, *rest):
        return None if name == "ray" else super().find_spec(name, *rest)
sys.meta_path = [Finder if one is importlib.machinery.PathFinder else one for one in sys.meta_path]
"""
"""A Python whose path has everything but Ray."""


class Silent:
    """An observer that keeps what it saw."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str]] = []

    def event(self, cycle: str, phase: str, step: str, facts: Any) -> None:
        self.lines.append((cycle, phase, step))

    def progress(self, cycle: str, phase: str, done: int, total: int, unit: str) -> None: ...


def command(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LOOPWRIGHT, *arguments], cwd=cwd, capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


def test_outside_a_workspace_and_without_git(tmp_path: Path) -> None:
    found = command("status", cwd=tmp_path)
    assert found.returncode == 2
    assert "loopwright init" in found.stderr
    empty = tmp_path / "bin"
    empty.mkdir()
    found = command("init", "lab", cwd=tmp_path, PATH=str(empty))
    assert found.returncode == 2
    assert "git is not installed" in found.stderr
    assert not (tmp_path / "lab" / "ledger").exists()


def test_a_directory_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(WorkspaceError, match="not empty"):
        create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_uncommitted_edits_are_named_and_kept(lab: Workspace, victim: Callable[..., dict[str, Any]]) -> None:
    set_plan(lab.root, {"gate.alpha": 0.2})
    (lab.root / "notes.txt").write_text("a person's", encoding="utf-8")
    found = command("run", "--cycles", "1", cwd=lab.root)
    assert found.returncode == 2
    assert "loop.yaml" in found.stderr
    assert "notes.txt" in found.stderr
    assert "git" in found.stderr
    assert (lab.root / "notes.txt").read_text(encoding="utf-8") == "a person's"


def test_a_recipe_that_cannot_be_opens_no_cycle(tmp_path: Path) -> None:
    workspace = make_small(tmp_path / "lab")
    recipe = workspace.root / "recipe.yaml"
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("warmup: 2", "warmup: 20"), encoding="utf-8")
    subprocess.run(["git", "commit", "-qam", "a recipe that cannot be"], cwd=workspace.root, check=True)
    found = command("run", "--cycles", "1", cwd=workspace.root)
    assert found.returncode == 2
    assert "recipe.yaml:2:seed" in found.stderr
    assert workspace.state().cycles == {}


def test_a_plan_changed_in_the_middle_of_a_cycle(lab: Workspace, victim: Callable[..., dict[str, Any]]) -> None:
    assert victim(lab.root, 1, ("c0001", "verify", "recorded"))["signal"]
    set_plan(lab.root, {"gate.alpha": 0.2})
    subprocess.run(["git", "commit", "-qm", "another plan", "loop.yaml"], cwd=lab.root, check=True)
    found = command("run", cwd=lab.root)
    assert found.returncode == 2
    assert "changed in the middle of cycle c0001" in found.stderr
    assert "abandon" in found.stderr
    found = command("abandon", "--reason", "the plan was wrong", cwd=lab.root)
    assert found.returncode == 0, found.stderr
    assert victim(lab.root, 2)["code"] == 4
    assert subprocess.run(["git", "status", "--porcelain"], cwd=lab.root, capture_output=True, check=True).stdout == b""
    for asked in range(2):
        [waiting] = json.loads(command("answer", "--json", cwd=lab.root).stdout)["requests"]
        assert (waiting["action"], waiting["missing"]) == ("policy", [["2 more persons"], ["1 more person"]][asked])
        assert command("approve", waiting["request"][7:19], cwd=lab.root).returncode == 0
    assert victim(lab.root, 2)["code"] == 0
    state = lab.state()
    assert state.cycles["c0002"].policy == lab.plan().policy
    assert state.cycles["c0001"].action == "reject"
    assert state.cycles["c0002"].prev == "c0000"
    assert state.cycles["c0002"].closed_at


def test_the_second_driver_leaves_at_once_and_says_who_is_there(lab: Workspace) -> None:
    with open_run(lab, Silent()):
        found = command("run", "--json", cwd=lab.root)
    assert found.returncode == 7
    assert f"process {os.getpid()}" in found.stderr
    with open_run(lab, Silent()):
        pass


def test_a_nan_loss_is_a_recorded_failure_and_never_a_score(lab: Workspace, victim: Callable[..., dict[str, Any]]) -> None:
    diff = "--- a/recipe.yaml\n+++ b/recipe.yaml\n"
    text = (lab.root / "recipe.yaml").read_text(encoding="utf-8")
    (lab.root / "recipe.yaml").write_text(_cycle_value(text, "lr", "1.0e+30"), encoding="utf-8")
    assert command("propose", "--name", "wild", cwd=lab.root).returncode == 0
    assert (lab.root / "recipes/wild.diff").read_text(encoding="utf-8").startswith(diff)
    subprocess.run("git add recipes && git commit -qm 'propose wild'", shell=True, cwd=lab.root, check=True)
    assert command("approve", "recipes/wild.diff", cwd=lab.root).returncode == 0
    ended = victim(lab.root, 1)
    assert ended["code"] == 1
    record = lab.state().cycles["c0001"]
    assert record.failures[0]["error"] == "TrainingDiverged"
    assert record.artifact("model") is None
    assert record.artifact("evaluation") is None
    assert record.action is None
    gone = command("abandon", "--reason", "diverged", "--json", cwd=lab.root)
    assert json.loads(gone.stdout) == {"schema_version": 1, "closed": "c0001", "decision": "reject"}
    assert victim(lab.root, 2)["code"] == 0


def test_an_approved_recipe_trains_the_next_model_and_an_unapproved_one_waits(
    lab: Workspace, victim: Callable[..., dict[str, Any]]
) -> None:
    text = (lab.root / "recipe.yaml").read_text(encoding="utf-8")
    (lab.root / "recipe.yaml").write_text(_cycle_value(text, "steps", "24"), encoding="utf-8")
    assert command("propose", "--name", "longer", cwd=lab.root).returncode == 0
    assert (lab.root / "recipe.yaml").read_text(encoding="utf-8") == text
    subprocess.run("git add recipes && git commit -qm 'propose longer'", shell=True, cwd=lab.root, check=True)
    assert victim(lab.root, 1)["code"] == 0
    assert lab.state().cycles["c0001"].recipe is None
    assert command("approve", "recipes/longer.diff", "--reason", "looked at it", cwd=lab.root).returncode == 0
    assert victim(lab.root, 2)["code"] == 0
    record = lab.state().cycles["c0002"]
    assert record.recipe is not None
    assert record.recipe["path"] == "recipes/longer.diff"
    assert record.phases["generate"].summary["kinds"] == ["rows", "recipe"]
    assert record.phases["verify"].summary["recipe"] == {"accepted": True}
    assert record.phases["train"].summary["steps"] == 24
    assert "steps: 24" in (lab.root / "cycles/c0002/model/recipe.yaml").read_text(encoding="utf-8")


def test_a_cycle_without_an_accepted_row_is_rejected_for_that_reason(
    tmp_path: Path, victim: Callable[..., dict[str, Any]]
) -> None:
    lab = make_small(tmp_path / "lab", **{"verifier.accept": "verified"})
    assert victim(lab.root, 1)["code"] == 0
    record = lab.state().cycles["c0001"]
    assert record.action == "reject"
    assert "zero accepted rows" in record.reasons[0]
    assert "train" not in record.phases
    assert sum(record.phases["verify"].summary["refused"].values()) == 48


def test_a_full_disk_stops_cleanly_and_says_so(lab: Workspace) -> None:
    class Full(Silent):
        def event(self, cycle: str, phase: str, step: str, facts: Any) -> None:
            super().event(cycle, phase, step, facts)
            if (phase, step) == ("verify", "started"):
                raise OSError(28, "No space left on device", str(lab.root))

    from loopwright.errors import InfraError

    with pytest.raises(InfraError, match="disk full"), open_run(lab, Full()) as run:
        load_flow(lab.root)(run, 1)
    assert lab.state().cycles["c0001"].failures[0]["phase"] == "verify"


def test_a_missing_ray_says_what_to_install_or_set(lab: Workspace) -> None:
    set_plan(lab.root, {"runtime.profile": "cluster/local.yaml"})
    subprocess.run(["git", "commit", "-qm", "ray", "loop.yaml"], cwd=lab.root, check=True)
    blocker = lab.root.parent / "site"
    blocker.mkdir()
    (blocker / "sitecustomize.py").write_text(NO_RAY, encoding="utf-8")
    found = command("run", cwd=lab.root, PYTHONPATH=str(blocker))
    assert found.returncode == 2, found.stderr
    assert "in-process" in found.stderr


def test_rollback_makes_an_earlier_model_the_champion_again(lab: Workspace) -> None:
    found = command("rollback", "c0000", cwd=lab.root)
    assert found.returncode == 2
    assert "is the champion already" in found.stderr
    found = command("rollback", "c0009", cwd=lab.root)
    assert found.returncode == 2
    assert "promoted: c0000" in found.stderr


def test_a_fork_goes_on_from_the_cycle_under_another_plan(
    lab: Workspace, tmp_path: Path, victim: Callable[..., dict[str, Any]]
) -> None:
    arm = tmp_path / "arm"
    found = command("fork", "c0000", "--directory", str(arm), "--set", "mix.human_floor=1.0", cwd=lab.root)
    assert found.returncode == 0, found.stderr
    assert victim(arm, 1)["code"] == 0
    state = find(arm).state()
    assert state.genesis["forked_from"]["cycle"] == "c0000"
    assert state.workspace != lab.state().workspace
    assert state.cycles["c0000"].artifact("model") == lab.state().cycles["c0000"].artifact("model")
    assert state.cycles["c0001"].closed_at
    found = command("verify", cwd=arm)
    assert found.returncode == 0, found.stdout + found.stderr


def _cycle_value(text: str, key: str, value: str) -> str:
    """Set a key in the ``cycle`` part of a recipe's text."""
    head, cycle, tail = text.partition("cycle:")
    lines = [f"  {key}: {value}" if line.startswith(f"  {key}:") else line for line in tail.splitlines()]
    return head + cycle + "\n".join(lines) + "\n"


def test_small_recipe_is_committed(tmp_path: Path) -> None:
    workspace = create(tmp_path / "lab", overrides={"name": "lab"})
    small_recipe(workspace.root)
    assert (
        subprocess.run(["git", "status", "--porcelain"], cwd=workspace.root, capture_output=True, text=True, check=True).stdout
        == ""
    )


def test_a_live_lease_is_an_error_in_process_too(lab: Workspace) -> None:
    with open_run(lab, Silent()):
        ledger = lab.ledger()
        with pytest.raises(LeaseHeld, match="process"), ledger.lease():
            pass
        ledger.close()
