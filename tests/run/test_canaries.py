"""A verifier that misjudges what is known stops the run, on the record; a sound one leaves only its counts behind."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import loopwright.sandbox as seam
from loopwright.attempt import Attempt, frozen
from loopwright.errors import CanaryError, WaitingForPerson
from loopwright.govern.steering import abandon
from loopwright.ledger.verify import verify
from loopwright.needs import obtain_admission
from loopwright.session import open_run
from loopwright.turn import settle
from loopwright.types import digest_bytes
from loopwright.workspace import Workspace, load_flow
from tests.run.small import make_small


class Silent:
    def event(self, cycle: str, phase: str, step: str, facts: Mapping[str, Any]) -> None: ...

    def progress(self, cycle: str, phase: str, done: int, total: int, unit: str) -> None: ...


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A loop whose comparison said yes to everything while it judged, and is sound again; the last test mends it."""
    workspace = make_small(
        tmp_path_factory.mktemp("broken") / "lab", **{"verifier.accept": "verified", "verifier.canary_every": 20}
    )
    with open_run(workspace, Silent()) as run:
        load_flow(workspace.root)(run, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seam, "same", lambda seen, expected: True)
        with pytest.raises(CanaryError, match="wrong canary PASS"), open_run(workspace, Silent()) as run:
            load_flow(workspace.root)(run, 1)
    return workspace


def cli(workspace: Workspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "loopwright", *arguments]
    return subprocess.run(command, cwd=workspace.root, capture_output=True, text=True, check=False)


def test_every_verdict_since_the_last_right_canary_is_flagged_on_the_record(broken: Workspace) -> None:
    failure = broken.state().cycles["c0001"].failures[-1]
    file = (broken.root / failure["suspects"]["path"]).read_bytes()
    assert digest_bytes(file) == failure["suspects"]["digest"]
    named = json.loads(file)
    assert named["key"] == failure["key"]
    assert len(named["verdicts"]) == failure["suspects"]["count"] > 0
    assert f"{len(named['verdicts'])} verdicts since the last right canary are suspect" in failure["message"]


def test_an_entry_of_the_log_has_room_for_any_number_of_suspects(tmp_path: Path) -> None:
    attempt = Attempt(phase="verify", key="k", number=1, config="c", packages={}, inputs={}, started_at="t")
    error = CanaryError("wrong", suspects=tuple(f"{place:016x}:{place:016x}" for place in range(100_000)))
    said = attempt.failed(tmp_path, "c0001", error, "wrong")
    assert len(json.dumps(said)) < 1000
    assert len(json.loads((tmp_path / said["suspects"]["path"]).read_bytes())["verdicts"]) == 100_000


def test_admission_stays_frozen_until_a_person_has_answered(broken: Workspace) -> None:
    """Not the process forgets it, nor a cycle that is given up: the next run would trust the same verifier again."""
    failure = broken.state().cycles["c0001"].failures[-1]
    assert (failure["phase"], failure["error"]) == ("verify", "CanaryError")
    assert not (broken.root / "cycles/c0001/accepted").exists()
    again = cli(broken, "run", "--cycles", "1")
    assert again.returncode == 4
    assert "admission is frozen" in again.stderr
    assert "verify" not in broken.state().cycles["c0001"].phases
    abandon(broken, "try another")
    with pytest.raises(WaitingForPerson, match="admission is frozen"), open_run(broken, Silent()) as run:
        load_flow(broken.root)(run, 2)  # another cycle has the same verifier
    assert list(broken.state().cycles) == ["c0000", "c0001"]
    shown = json.loads(cli(broken, "status", "--json").stdout)["admission_frozen"]
    assert [freeze["suspects"] for freeze in shown] == [failure["suspects"]]
    [asked] = json.loads(cli(broken, "answer", "--json").stdout)["requests"]
    assert (asked["action"], asked["details"]["failure"], asked["missing"]) == (
        "admission",
        shown[0]["digest"],
        ["2 more persons"],
    )
    for person in ("owner", "safety"):
        reason = ("--as", person, "--reason", "the comparison was patched")
        assert cli(broken, "approve", asked["request"], *reason).returncode == 0
    with open_run(broken, Silent()) as run:
        settle(run)
        obtain_admission(run)
    assert frozen(broken.state()) == []
    with open_run(broken, Silent()) as run:
        load_flow(broken.root)(run, 2)
    for name, phase in (("c0000", "evaluate"), ("c0002", "verify"), ("c0002", "evaluate")):
        done = broken.state().cycles[name].phases.get(phase)
        if phase == "evaluate" and done is None:
            continue  # nothing was accepted, so nothing was trained
        assert done is not None
        flown = done.summary["canaries"]
        assert flown["every"] == 20
        assert min(flown["good"], flown["wrong"], flown["hostile"]) >= 1
    assert verify(broken.root).ok
