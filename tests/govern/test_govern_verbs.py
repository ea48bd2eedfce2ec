"""The verbs of those who answer for a loop, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from loopwright.cli import app
from loopwright.errors import UsageError
from loopwright.planfile import parse_envelope
from loopwright.workspace import Workspace, set_plan
from tests.govern.test_observe import SEEN


def typed(lab: Workspace, *words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--workspace", str(lab.root)])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def told(lab: Workspace, *words: str) -> Any:
    said = json.loads(typed(lab, *words, "--json"))
    assert said["schema_version"] == 1
    return said


def test_what_stands_is_in_the_status_and_in_the_plan(lab: Workspace, tmp_path: Path) -> None:
    set_plan(lab.root, {"budgets.cycles": 1, "budgets.wall_hours": 100.0, "cycles": 3})
    (tmp_path / "seen.json").write_text(json.dumps(SEEN), encoding="utf-8")
    assert told(lab, "observe", str(tmp_path / "seen.json"))["kind"] == "observation"
    costs = {line["name"]: line for line in told(lab, "plan")["budgets"]}
    assert (costs["cycles"]["expected"], costs["cycles"]["exceeded"]) == (3, True)
    assert costs["wall_hours"]["exceeded"] is False
    assert "WARNING: exceeds budget cycles" in typed(lab, "plan")
    assert told(lab, "halt", "--reason", "wait")["kind"] == "halt"
    seen = told(lab, "status")
    assert "wait" in seen["halted"]["message"]
    assert [line["limit"] for line in seen["budgets"]] == [1, 100.0, None]
    shown = typed(lab, "status")
    assert "HALTED: the loop is halted since" in shown
    assert "budget cycles: 0 of 1 used (0%; counted: cycles closed)" in shown
    assert "field c0000 tasks solved: 0.400 (0.300-0.500), n = 80; sealed" in shown


def test_gc_and_envelope_say_what_they_would_do(lab: Workspace) -> None:
    found = told(lab, "gc", "--dry-run")
    assert found["dry_run"] is True
    assert found["removed"] == []
    assert "0 artifacts, 0 bytes would be removed" in typed(lab, "gc", "--dry-run")
    draft = parse_envelope(typed(lab, "envelope", "--draft"))
    assert draft is not None
    assert draft.must_stay["generator.tasks"] == 24
    assert told(lab, "envelope") == {"schema_version": 1, "digest": None, "file": "none"}
    with pytest.raises(UsageError, match="a reason is needed"):
        typed(lab, "freeze", "--reason", "")
    typed(lab, "freeze", "--reason", "an incident")
    assert told(lab, "status")["frozen"] is True
