"""One person's word ends driver, job and sandbox within ten seconds, wherever they run, and stands until persons lift it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from loopwright import supervisor
from loopwright.errors import HaltedError, UsageError
from loopwright.ledger.verify import verify
from loopwright.runtime.ray_process import lives
from loopwright.session import open_run
from loopwright.workspace import Workspace, load_flow
from tests.govern.record import Silent, executed, freeze, halt

SECONDS = 10.0
"""What the design promises."""


class Trips(Silent):
    """Has somebody else halt the loop in the middle of a phase, which then does not end by itself."""

    def __init__(self, workspace: Workspace, phase: str, act: Any = halt) -> None:
        self.workspace, self.phase, self.act = workspace, phase, act
        self.before = {child.pid for child in psutil.Process().children()}
        self.children: list[psutil.Process] = []

    def look(self) -> None:
        """Whom the run has started."""
        self.children = [child for child in psutil.Process().children(recursive=True) if child.pid not in self.before]

    def progress(self, cycle: str, phase: str, done: int, total: int, unit: str) -> None:
        if phase == self.phase and not self.children:
            self.look()
            self.act(self.workspace, "the samples look wrong")
        if phase == self.phase and self.children and done * 2 >= total:
            time.sleep(60)  # only an interruption ends it


def living(children: list[psutil.Process]) -> list[psutil.Process]:
    return [child for child in children if lives(child)]


def stopped(workspace: Workspace, kind: str = "halt") -> Mapping[str, Any]:
    """The attempt that was stopped, after a check that it was in time by the record's own clock."""
    entries = list(workspace.ledger().statements())
    said = [entry for entry in entries if entry.kind == kind][-1].predicate
    failed = [entry for entry in entries if entry.kind == "failure"][-1].predicate
    at = datetime.fromisoformat(said["halted_at" if kind == "halt" else "frozen_at"])
    end = datetime.fromisoformat(failed["failed_at"])
    assert 0 <= (end - at).total_seconds() <= SECONDS
    return failed


def turn(workspace: Workspace, until: int, observer: Any = None) -> None:
    with open_run(workspace, observer or Silent()) as run:
        load_flow(workspace.root)(run, until)


@pytest.mark.parametrize("phase", ["generate", "evaluate"])
def test_a_halt_ends_the_phase_its_sandbox_and_the_run(lab: Workspace, phase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "GRACE_SECONDS", 60.0)  # this process is to live on
    trips = Trips(lab, phase)
    with pytest.raises(HaltedError, match="the samples look wrong") as caught:
        turn(lab, 1, trips)
    assert "loopwright approve" in caught.value.next_step
    failed = stopped(lab)
    assert (failed["cycle"], failed["phase"], failed["error"]) == ("c0001", phase, "HaltedError")
    assert trips.children
    assert living(trips.children) == []
    for _ in range(2):
        with pytest.raises(HaltedError, match="the samples look wrong"):
            turn(lab, 1)
    assert len(lab.state().acts.requests) == 1  # a refusal to begin asks persons once, and adds nothing else
    executed(lab, "resume")
    turn(lab, 1)
    assert lab.state().cycles["c0001"].closed_at
    assert verify(lab.root).findings == ()


def test_a_freeze_stops_a_driver_too_and_only_unfreeze_ends_it(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "GRACE_SECONDS", 60.0)
    with pytest.raises(HaltedError, match="frozen"):
        turn(lab, 1, Trips(lab, "generate", freeze))
    assert stopped(lab, "freeze")["phase"] == "generate"
    with pytest.raises(UsageError, match="nothing to resume"):
        executed(lab, "resume")
    with pytest.raises(HaltedError, match="frozen"):
        turn(lab, 1)
    executed(lab, "unfreeze")
    turn(lab, 1)


def test_a_halt_between_the_decision_and_the_close_promotes_nothing(lab: Workspace) -> None:
    class AtTheEnd(Silent):
        def event(self, cycle: str, phase: str, step: str, facts: Mapping[str, Any]) -> None:
            if (cycle, phase, step) == ("c0001", "decide", "published"):
                halt(lab, "wait")

    with pytest.raises(HaltedError, match="wait"):
        turn(lab, 1, AtTheEnd())
    assert lab.state().open == "c0001"
    executed(lab, "resume")
    turn(lab, 1)
    assert lab.state().open is None


DEAF = """
import sys, time
from pathlib import Path
from loopwright.session import open_run
from loopwright.workspace import Workspace, load_flow

class Deaf:
    def event(self, *said): pass
    def progress(self, cycle, phase, done, total, unit):
        if phase == "generate":
            print("deaf", flush=True)
            while True:
                try:
                    time.sleep(60)
                except BaseException:
                    pass

workspace = Workspace(root=Path(sys.argv[1]))
with open_run(workspace, Deaf()) as run:
    load_flow(workspace.root)(run, 1)
"""


def test_a_driver_that_does_not_listen_is_ended_with_all_below_it_and_exits_6(lab: Workspace, repository: Path) -> None:
    path = os.pathsep.join([str(repository), str(repository / "src")])
    with subprocess.Popen(
        [sys.executable, "-c", DEAF, str(lab.root)], env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdout
        assert driver.stdout.readline() == "deaf\n"
        below = psutil.Process(driver.pid).children(recursive=True)
        assert below
        command = [sys.executable, "-m", "loopwright", "halt", "-w", str(lab.root), "--reason", "it is deaf", "--json"]
        said = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=True)
        acknowledged = time.monotonic()
        assert driver.wait(60) == 6
        assert time.monotonic() - acknowledged <= SECONDS
    assert json.loads(said.stdout)["kind"] == "halt"
    assert living(below) == []
    assert stopped(lab)["phase"] == "generate"
    executed(lab, "resume")
    turn(lab, 1)
    assert verify(lab.root).findings == ()


def test_a_halt_needs_a_reason(lab: Workspace) -> None:
    with pytest.raises(UsageError, match="reason"):
        halt(lab, "  ")
