"""A verifier that misjudges what is known stops the run, on the record; a sound one leaves only its counts behind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import loopwright.sandbox as seam
from loopwright.errors import CanaryError
from loopwright.session import open_run
from loopwright.workspace import load_flow
from tests.run.small import make_small


class Silent:
    def event(self, cycle: str, phase: str, step: str, facts: Mapping[str, Any]) -> None: ...

    def progress(self, cycle: str, phase: str, done: int, total: int, unit: str) -> None: ...


def test_a_comparison_that_says_yes_to_all_freezes_admission_and_is_on_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = make_small(tmp_path / "lab", **{"verifier.accept": "verified", "verifier.canary_every": 20})
    with open_run(workspace, Silent()) as run:
        load_flow(workspace.root)(run, 0)
    sound = seam.same
    monkeypatch.setattr(seam, "same", lambda seen, expected: True)
    with pytest.raises(CanaryError, match="wrong canary PASS"), open_run(workspace, Silent()) as run:
        load_flow(workspace.root)(run, 1)
    failure = workspace.state().cycles["c0001"].failures[-1]
    assert (failure["phase"], failure["error"]) == ("verify", "CanaryError")
    assert "verdicts since the last right canary are suspect" in failure["message"]
    assert not (workspace.root / "cycles/c0001/accepted").exists()
    monkeypatch.setattr(seam, "same", sound)
    with open_run(workspace, Silent()) as run:
        load_flow(workspace.root)(run, 1)
    for name, phases in (("c0000", ("evaluate",)), ("c0001", ("verify", "evaluate"))):
        for phase in phases:
            done = workspace.state().cycles[name].phases.get(phase)
            if phase == "evaluate" and done is None:
                continue  # nothing was accepted, so nothing was trained
            assert done is not None
            flown = done.summary["canaries"]
            assert flown["every"] == 20
            assert min(flown["good"], flown["wrong"], flown["hostile"]) >= 1
