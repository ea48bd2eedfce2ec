"""Answers to reports' fields: signed by persons, versioned, withdrawable, erasable, and never a value by themselves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from loopwright.cli import app
from loopwright.errors import IntegrityError
from loopwright.ledger.verify import verify
from loopwright.report.document import Claim
from loopwright.report.engine import document_of
from loopwright.report.loading import load
from loopwright.report.record import open_record
from loopwright.workspace import Workspace

FIELDS = """
schema: 2
document: asked
law: {act: ai-act, ref: Annex IV}
scope: cycle
audiences: [public, internal]
owner: compliance
due: placing
sections:
  - id: only
    fields:
      - {id: A-1, ref: "1", source: human, query: [loop.name]}
      - {id: A-2, ref: "2", source: auto+human, query: [cycle.name, loop.cycles]}
      - {id: A-3, ref: "3", source: auto, query: [org.name], due: two-weeks-before-placing}
      - {id: A-4, ref: "4", source: auto, query: [loop.name], audience: [internal]}
"""
LABELS = """
title: Asked
purpose: p
limits: l
applies: a
sections: {only: Only}
fields: {A-1: {label: one, help: h}, A-2: {label: two, help: h}, A-3: {label: three, help: h}, A-4: {label: four, help: h}}
"""


def asked(lab: Workspace) -> None:
    folder = lab.root / "reports/asked"
    folder.mkdir(parents=True)
    (folder / "fields.yaml").write_text(FIELDS)
    for language in ("en", "de"):
        (folder / f"labels.{language}.yaml").write_text(LABELS)


def told(lab: Workspace, *words: str, code: int = 0) -> Any:
    found = CliRunner().invoke(app, [*words, "--workspace", str(lab.root), "--json"])
    assert (
        found.exit_code
        if found.exception is None or isinstance(found.exception, SystemExit)
        else getattr(found.exception, "exit_code", 99)
    ) == code, found
    return json.loads(found.stdout) if found.stdout.startswith("{") else None


def claims(lab: Workspace) -> dict[str, Claim]:
    made = document_of(open_record(lab.root), load(lab.root, "asked"), None, language="en", audience="internal")
    return {claim.id: claim for claim in made.claims}


def test_the_states_of_a_claim(lab: Workspace, tmp_path: Path) -> None:
    asked(lab)
    before = claims(lab)
    assert {name: claim.state for name, claim in before.items()} == {
        "A-1": "not provided",  # a human field has no value by itself, whatever the record has
        "A-2": "draft",
        "A-3": "not provided",
        "A-4": "value",
    }
    assert (before["A-1"].owner, before["A-1"].due and before["A-1"].due.date) == ("compliance", None)

    (tmp_path / "mandate.pdf").write_bytes(b"%PDF <b>")
    said = told(lab, "answer", "A-1", "--text", "plain <b>words</b>", "--file", str(tmp_path / "mandate.pdf"))
    assert (said["version"], said["covered"], said["about"]) == (1, True, "loop")
    told(lab, "answer", "A-2", "--confirm")
    told(lab, "answer", "org.name", "--text", "Example GmbH")
    told(lab, "answer", "release.eu_date", "--text", "2027-03-01")
    after = claims(lab)
    assert {claim.state for claim in after.values()} == {"statement", "value"}
    first, second = after["A-1"].statement, after["A-2"].statement
    assert first
    assert second
    assert (first.by, first.note, first.text) == ("operator", "demonstration key, not a person", "plain <b>words</b>")
    assert [(file.name, file.media_type, file.bytes) for file in first.files] == [("mandate.pdf", "application/pdf", 8)]
    assert (second.kind, second.about, after["A-2"].facts[0].value) == ("confirmed", "c0000", "c0000")
    assert after["A-3"].facts[0].value == "Example GmbH"
    assert verify(lab.root).findings == ()
    words = b"Example GmbH"
    assert all(words not in file.read_bytes() for file in (lab.root / "ledger").rglob("*") if file.is_file())

    told(lab, "answer", "org.name", "--not-applicable", "nobody provides it")
    told(lab, "answer", "A-1", "--text", "second")
    third, again = claims(lab)["A-3"], claims(lab)["A-1"].statement
    assert (third.state, third.due) == ("not applicable", None)  # a person has set the profile's item aside
    assert again
    assert (again.version, again.text) == (2, "second")
    assert len(told(lab, "answer", "A-1")["versions"]) == 2
    told(lab, "answer", "A-1", "--withdraw")
    assert claims(lab)["A-1"].state == "not provided"
    told(lab, "answer", "A-1", "--withdraw", code=2)


def test_a_confirmation_is_of_the_facts_that_were_seen(lab: Workspace) -> None:
    asked(lab)
    told(lab, "answer", "A-2", "--confirm")
    assert claims(lab)["A-2"].state == "statement"
    fields = lab.root / "reports/asked/fields.yaml"
    fields.write_text(fields.read_text().replace("loop.cycles]", "loop.cycles, loop.name]"))
    changed = claims(lab)["A-2"]
    assert (changed.state, "confirmed other facts" in changed.reason) == ("draft", True)


def test_erased_words_are_said_and_changed_ones_refused(lab: Workspace) -> None:
    asked(lab)
    said = told(lab, "answer", "A-1", "--text", "of a person")
    [file] = (lab.root / "answers").glob("*.json")
    assert said["digest"] == f"sha256:{file.stem}"
    kept = shutil.copy(file, lab.root / "kept")
    file.unlink()
    erased = claims(lab)["A-1"]
    assert (erased.state, "erased" in erased.reason) == ("not provided", True)
    assert verify(lab.root).findings == ()
    file.write_bytes(Path(kept).read_bytes().replace(b"of a person", b"of a parson"))
    with pytest.raises(IntegrityError, match="is not what was signed"):
        claims(lab)


def test_refusals_and_check(lab: Workspace, tmp_path: Path) -> None:
    asked(lab)
    for words in (
        ("A-9", "--text", "x"),
        ("A-4", "--text", "x"),
        ("A-1", "--confirm", "--text", "x"),
        ("A-1", "--text", " "),
        ("A-1", "--text", "x", "--about", "c0009"),
        ("A-1", "--file", str(tmp_path / "none")),
    ):
        told(lab, "answer", *words, code=2)
    missing = told(lab, "report", "check", "asked", code=3)["missing"]
    assert [(row["field"], row["owner"]) for row in missing] == [
        ("A-1", "compliance"),
        ("A-2", "compliance"),
        ("A-3", "compliance"),
    ]
    status = {(row["document"], row["audience"]): row for row in told(lab, "report", "status")["documents"]}
    assert (status["asked", "public"]["of"], status["asked", "internal"]["of"]) == (3, 4)
    listed = {row["document"]: row for row in told(lab, "report", "list")["documents"]}
    assert listed["asked"]["due"] == "Before placing on the market"
    built = told(
        lab, "report", "build", "asked", "--audience", "public", "--language", "de", "--language", "en", "--format", "json"
    )
    assert [one["job"]["language"] for one in built["built"]] == ["de", "en"] or len(built["built"]) == 2
    old = built["built"][0]["files"]["json"]
    kept = shutil.copy(old, tmp_path / "old.json")
    told(lab, "answer", "A-1", "--text", "now")
    told(
        lab,
        "report",
        "build",
        "asked",
        "--audience",
        "public",
        "--language",
        built["built"][0]["job"]["language"],
        "--format",
        "json",
    )
    [change] = told(lab, "report", "diff", str(kept), old)["changes"]
    assert (change["id"], change["what"]) == ("A-1", ["state", "statement"])
    assert (change["before"]["state"], change["after"]["state"]) == ("not provided", "statement")
