"""Facts about what persons did: written into a real record by real signatures, and read back by name."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from loopwright.errors import IntegrityError
from loopwright.govern.answers import Given, answer
from loopwright.govern.envelope import draft_of
from loopwright.govern.requests import Desk
from loopwright.ledger.audit import audit
from loopwright.report.facts import catalogue
from loopwright.workspace import Workspace
from tests.govern.record import executed, freeze, halt, nobody
from tests.run.small import copy_of
from tests.trace.conftest import turn


def rows(root: Path, path: str) -> list[dict[str, Any]]:
    value = catalogue(audit(root / "ledger"), root)[path].value
    return [dict(zip(value["columns"], row, strict=True)) for row in value["rows"]]


def checkpoint(workspace: Workspace) -> None:
    """A signed head over what stands: facts read nothing that none covers."""
    with Desk(workspace, nobody) as desk:
        desk.cover()


def told(workspace: Workspace, field: str, text: str | None, state: str = "statement") -> None:
    with Desk(workspace, nobody) as desk:
        answer(desk, Given(field=field, document="profile", state=state, text=text), "owner")


def test_an_answer_is_a_fact_until_it_is_withdrawn_or_erased(turned: Path, tmp_path: Path) -> None:
    lab = copy_of(turned, tmp_path / "lab")
    told(lab, "org.name", "<script>Müller & Söhne</script>")
    told(lab, "gen.published", "No.")
    told(lab, "release.versions", "c0001")
    told(lab, "release.eu_date", "2026-02-28")
    found = catalogue(audit(lab.root / "ledger"), lab.root)
    entries = {row["field"]: row for row in rows(lab.root, "sign.answers")}
    assert found["org.name"].value == "<script>Müller & Söhne</script>"
    assert found["org.name"].leaves == (entries["org.name"]["leaf"],)
    assert found["org.name"].digests == (entries["org.name"]["digest"],)
    assert found["gen.published"].value is False
    assert found["release.retention_until"].value == "2036-02-28T00:00:00Z"
    assert [row["cycle"] for row in rows(lab.root, "model.public_versions")] == ["c0001"]
    assert {row["cycle"] for row in rows(lab.root, "gen.lineage") if row["market"]} <= {"c0001"}

    told(lab, "org.name", "Another")
    assert [row["version"] for row in rows(lab.root, "sign.answers") if row["field"] == "org.name"] == [1, 2]
    words = lab.root / "answers" / f"{rows(lab.root, 'sign.answers')[-1]['digest'].removeprefix('sha256:')}.json"
    signed = words.read_bytes()
    words.write_bytes(signed.replace(b"Another", b"Somebody"))
    with pytest.raises(IntegrityError, match="not what was signed"):
        catalogue(audit(lab.root / "ledger"), lab.root)["org.name"]
    words.unlink()
    erased = catalogue(audit(lab.root / "ledger"), lab.root)["org.name"]
    assert (erased.value, erased.absent) == (None, (words.relative_to(lab.root).as_posix(),))
    told(lab, "org.name", None, "withdrawn")
    assert catalogue(audit(lab.root / "ledger"), lab.root)["org.name"].value is None


def test_a_halt_a_freeze_and_their_end_are_told(turned: Path, tmp_path: Path) -> None:
    lab = copy_of(turned, tmp_path / "lab")
    assert catalogue(audit(lab.root / "ledger"), lab.root)["override.none"].value is True
    stopped, frozen = halt(lab, "a smell of smoke"), freeze(lab, "<b>an incident</b>")
    asked = executed(lab, "resume")
    checkpoint(lab)
    [one] = rows(lab.root, "override.halts")
    assert (one["leaf"], one["reason"]) == (stopped, "a smell of smoke")
    end = one["ended"]
    assert end is not None
    assert end > asked.index > frozen > stopped
    [still] = rows(lab.root, "override.freezes")
    assert (still["leaf"], still["reason"], still["ended"]) == (frozen, "<b>an incident</b>", None)
    found = catalogue(audit(lab.root / "ledger"), lab.root)
    assert found["override.counts"].value | {"halt": 1, "freeze": 1} == found["override.counts"].value
    assert found["override.standing"].value == [f"freeze (entry {frozen}): <b>an incident</b>"]
    assert rows(lab.root, "override.drill")[0]["entries"] == 0
    assert [(row["kind"], row["state"]) for row in rows(lab.root, "override.all")] == [
        ("halt", "resumed"),
        ("freeze", "frozen"),
    ]

    said = rows(lab.root, "sign.approvals")
    assert [(row["action"], row["decision"]) for row in said] == [("resume", "approve")] * 2
    assert len({row["key"] for row in said}) == 2
    assert all("demonstration key, not a person" in row["duties"] for row in said)
    assert found["sign.share_approved"].value["n"] == 2
    [request] = rows(lab.root, "sign.requests")
    assert (request["state"], request["leaf"]) == ("carried out", asked.index)


def test_each_rule_of_a_signed_envelope_stands_beside_what_the_cycle_had(turned: Path, tmp_path: Path) -> None:
    lab = copy_of(turned, tmp_path / "lab")
    text = draft_of(lab).replace("generator.temperature: 0.8", "generator.temperature: 0.7")
    (lab.root / "envelope.yaml").unlink()  # a link to the shared workspace's
    (lab.root / "envelope.yaml").write_text(text, encoding="utf-8")
    subprocess.run(["git", "commit", "-qam", "an envelope"], cwd=lab.root, check=True)
    asked = executed(lab, "envelope", {"path": "envelope.yaml"})
    turn(lab, 3)
    found = catalogue(audit(lab.root / "ledger"), lab.root)
    assert found["cycle.name"].value == "c0003"
    assert found["envelope.signed"].value is True
    assert found["envelope.id"].value == asked.subjects[0].digest
    assert found["envelope.before_first"].value is False, "it was signed after c0001"
    assert len(found["envelope.approvers"].value["rows"]) == 2
    assert found["envelope.inside"].value is False
    told = {row["rule"]: row for row in rows(lab.root, "envelope.rules")}
    left = {name for name, row in told.items() if row["outcome"] == "left"}
    assert "must_stay generator.temperature" in left
    assert told["must_stay generator.temperature"]["had"] == 0.8
    assert told["must_stay generator.samples"]["outcome"] == "kept"
    said = found["envelope.left"].value
    assert len(said) >= len(left) > 0
    assert all(any(one.removeprefix("envelope: ").startswith(name) for one in said) for name in left)
    before = catalogue(audit(lab.root / "ledger"), lab.root, "c0002")
    assert before["envelope.none"].value is True
    assert before["envelope.rules"].value is None
