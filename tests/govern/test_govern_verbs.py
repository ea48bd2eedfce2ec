"""The verbs of those who answer for a loop, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from loopwright.cli import app
from loopwright.errors import UsageError
from loopwright.ledger.cosignature import with_lines
from loopwright.ledger.witness import Witness, keep
from loopwright.planfile import parse_envelope
from loopwright.workspace import Workspace, create, set_plan
from tests.govern.record import asked as asked_of
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


def test_status_says_what_waits_for_whom_and_what_stands(lab: Workspace) -> None:
    before = told(lab, "status")
    assert [before[name] for name in ("requests", "halts", "freezes", "recalls", "plan_error")] == [[], [], [], [], None]
    halted = told(lab, "halt", "--reason", "smoke", "--as", "owner")["leaf"]
    asked = asked_of(lab, "resume")
    told(lab, "recall", "c0000/accepted", "--why", "licence")
    frozen = told(lab, "freeze", "--reason", "an incident", "--as", "safety")["leaf"]
    seen = told(lab, "status")
    [waiting] = seen["requests"]
    assert (waiting["request"], waiting["action"], waiting["status"], waiting["missing"]) == (
        asked.id,
        "resume",
        "open",
        ["1 more person"],
    )
    assert [one["name"] for one in waiting["may_sign"]] == ["owner", "safety"], "the operator asked"
    assert waiting["expires_at"] == asked.said["expires_at"]
    assert [(one["leaf"], one["by"], one["reason"]) for one in seen["halts"]] == [(halted, "owner", "smoke")]
    assert [(one["leaf"], one["by"], one["reason"]) for one in seen["freezes"]] == [(frozen, "safety", "an incident")]
    [recalled] = seen["recalls"]
    assert (recalled["reason"], recalled["models"]) == ("licence", ["c0000"])
    shown = typed(lab, "status")
    short = asked.id[7:19]
    for said in (
        f"request {short} (resume",
        f"until {asked.said['expires_at']}, lacks 1 more person",
        "may sign: owner (demonstration key, not a person), safety (demonstration key, not a person)",
        f"entry {halted}, ",
        "by owner: smoke",
        "licence; models: c0000",
    ):
        assert said in shown
    typed(lab, "approve", asked.id, "--as", "owner")
    [granted] = told(lab, "status")["requests"]
    assert (granted["status"], [one["name"] for one in granted["may_sign"]]) == ("granted", ["safety"])
    typed(lab, "resume")
    after = told(lab, "status")
    assert (after["requests"], after["halts"], len(after["freezes"])) == ([], [], 1)


def test_status_says_how_far_witnesses_have_seen(tmp_path: Path) -> None:
    witness = Witness.create(tmp_path / "w1", "w1.example.org")
    rule = {"required": 1, "known": [str(witness.key)]}
    lab = create(tmp_path / "lab", overrides={"name": "lab", "approvals.witness": rule}, demo=True)
    assert "witness w1.example.org has seen nothing; 1 came after" in typed(lab, "status")
    noted = witness.cosign(lab.root / "ledger")
    keep(lab.root / "ledger", with_lines(noted.note, [noted.line]))
    typed(lab, "halt", "--reason", "wait")
    seen = told(lab, "status")["witnesses"]
    [one] = seen["known"]
    assert (seen["required"], one["size"], one["entries_since"], seen["against"]) == (1, 1, 1, [])
    (lab.root / "loop.yaml").write_text("seed: no", encoding="utf-8")
    spoilt = told(lab, "status")
    assert (spoilt["witnesses"], spoilt["halts"][0]["reason"]) == (None, "wait")
    assert "seed" in spoilt["plan_error"]
