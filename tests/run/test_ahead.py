"""Generating ahead of a cycle changes when it is done and nothing else; a wrong guess costs, and that is on the record."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from ruamel.yaml import YAML

from loopwright.errors import PlanError
from loopwright.ledger.verify import verify
from loopwright.workspace import Workspace
from tests.run.small import make_small
from tests.run.test_held import let_gate_say, turn
from tests.run.test_resume import outcome

Turn = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, victim: Turn) -> tuple[Workspace, Workspace]:
    """Three cycles without and with overlap."""
    made = []
    for overlap in (False, True):
        lab = make_small(tmp_path_factory.mktemp("ahead") / "lab", **{"runtime.overlap": overlap})
        assert victim(lab.root, 3)["code"] == 0
        made.append(lab)
    return made[0], made[1]


def ahead(lab: Workspace) -> dict[str, Any]:
    """By cycle what its generate phase says of having been done ahead."""
    cycles = lab.state().cycles.items()
    return {name: one.phases["generate"].environment.get("ahead") for name, one in cycles if name != "c0000"}


def test_what_was_made_ahead_is_taken_up(pair: tuple[Workspace, Workspace]) -> None:
    plain, overlapped = pair
    assert outcome(overlapped) == outcome(plain)
    assert ahead(plain) == {"c0001": None, "c0002": None, "c0003": None}
    assert ahead(overlapped) == {
        "c0001": None,
        "c0002": {"staleness": 0},
        "c0003": {"staleness": 0},
    }  # c0000 had no champion yet
    for name, record in overlapped.state().cycles.items():
        assert record.failures == ()
        if name in {"c0002", "c0003"}:
            assert record.phases["generate"].started_at < record.opened_at
    assert verify(overlapped.root).findings == ()
    assert not list((overlapped.private / "scratch").glob("generate-*"))


@pytest.fixture
def overlapping(lab: Workspace) -> Workspace:
    """c0000 is closed."""
    set_plan(lab, "overlap", value=True)
    return lab


def set_plan(lab: Workspace, key: str, value: Any) -> None:
    yaml = YAML()
    plan = yaml.load(lab.root / "loop.yaml")
    plan["runtime"][key] = value
    yaml.dump(plan, lab.root / "loop.yaml")
    subprocess.run(["git", "commit", "-qam", f"{key}: {value}"], cwd=lab.root, check=True)


def test_what_was_made_for_another_champion_is_thrown_away(overlapping: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    let_gate_say("promote", "so it is said", monkeypatch)
    turn(overlapping, 2)
    cycles = overlapping.state().cycles
    assert cycles["c0002"].parent == "c0001"
    (failure,) = cycles["c0002"].failures
    assert (failure["phase"], failure["error"]) == ("generate", "NotNeeded")
    assert failure["started_at"] < cycles["c0002"].opened_at
    model = cycles["c0001"].artifact("model")
    assert model
    assert model.digest in {one["digest"] for one in cycles["c0002"].phases["generate"].inputs}
    assert "ahead" not in cycles["c0002"].phases["generate"].environment
    assert not list((overlapping.private / "scratch").glob("generate-*"))


def test_it_dies_with_the_driver_and_what_it_had_is_taken_up(
    overlapping: Workspace, pair: tuple[Workspace, Workspace], victim: Turn
) -> None:
    assert victim(overlapping.root, 2, ("c0001", "evaluate", "started"))["signal"] == signal.SIGKILL
    (place,) = (overlapping.private / "scratch").glob("generate-*")
    end = time.monotonic() + 10
    while any(str(place) in argument for one in psutil.process_iter() for argument in command_of(one)):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert victim(overlapping.root, 2)["code"] == 0
    assert outcome(overlapping) == {name: said for name, said in outcome(pair[0]).items() if name != "c0003"}


def command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_a_ray_of_one_machine_has_no_room_for_it(overlapping: Workspace) -> None:
    set_plan(overlapping, "profile", "cluster/local.yaml")
    with pytest.raises(PlanError, match="runtime.overlap: cluster/local.yaml opens a Ray on this machine alone"):
        turn(overlapping, 1)
