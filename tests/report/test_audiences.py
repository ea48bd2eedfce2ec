"""Who sees what: a coarser figure for one audience, and one answer of a person in every document that asks the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from loopwright.govern.answers import Given, answer
from loopwright.govern.requests import Desk
from loopwright.report import document as doc
from loopwright.report.engine import document_of
from loopwright.report.loading import load
from loopwright.report.record import Record, open_record
from loopwright.workspace import Workspace
from tests.govern.record import nobody
from tests.run.small import copy_of

PURPOSE = "Teaching how programs are checked; <b>never</b> for decisions about persons."


@pytest.fixture(scope="module")
def record(turned: Path) -> Record:
    return open_record(turned)


def told(record: Record, document: str, audience: str = "internal") -> doc.Document:
    return document_of(record, load(record.root, document), None, language="en", audience=audience)


def claim(document: doc.Document, key: str) -> doc.Claim:
    return next(one for one in document.claims if one.id == key)


def test_one_field_tells_the_office_a_number_and_a_national_authority_its_magnitude(record: Record) -> None:
    office, nation = (
        claim(told(record, "model-documentation", audience), "MDF-6.4") for audience in ("ai-office", "national-authority")
    )
    assert [fact.path for fact in office.facts] == ["dataset.data_points"]
    assert [fact.path for fact in nation.facts] == ["dataset.data_points_coarse"]
    assert office.state == nation.state == "value"


@pytest.mark.parametrize(
    "hidden", ["dataset.data_points", "model.parameters", "compute.total", "run.training_days", "run.hardware_days"]
)
def test_a_figure_for_the_office_alone_is_nowhere_in_the_form_of_others(record: Record, hidden: str) -> None:
    figures = {
        each for each in numbers(record.facts(*record.about("cycle", None))[hidden].value) if not 0 <= each < 100 or each % 1
    }
    assert figures
    for audience in ("national-authority", "downstream"):
        form = told(record, "model-documentation", audience)
        assert hidden not in [fact.path for one in form.claims for fact in one.facts]
        assert not figures & numbers([[fact.value for fact in one.facts] for one in form.claims])


def numbers(value: Any) -> set[float]:
    """Every number in plain JSON."""
    return {float(each) for each in re.findall(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?", json.dumps(value))}


def test_what_a_person_says_once_in_the_profile_answers_each_document_that_asks_it(turned: Path, tmp_path: Path) -> None:
    lab = Workspace(root=copy_of(turned, tmp_path / "lab").root)
    with Desk(lab, nobody) as desk:
        answer(desk, Given(field="system.intended_purpose", document="profile", state="statement", text=PURPOSE))
    record = open_record(lab.root)
    for document, key in (
        ("annex-iv", "IV-1a-1"),
        ("annex-xi", "XI-1-1a"),
        ("annex-xii", "XII-1a"),
        ("model-documentation", "MDF-4.2"),
    ):
        said = claim(told(record, document), key)
        assert said.state == "statement"
        assert said.statement is not None
        assert said.statement.text == PURPOSE
        assert said.facts == ()  # the same words are not printed twice
    with Desk(lab, nobody) as desk:
        answer(desk, Given(field="system.intended_purpose", document="profile", state="withdrawn"))
    assert claim(told(open_record(lab.root), "annex-iv"), "IV-1a-1").state == "not provided"


def test_what_the_record_shows_not_to_apply_has_its_reason_and_its_grounds(record: Record) -> None:
    summary = told(record, "training-summary", "public")
    images = claim(summary, "TS-1.3b-image")
    assert (images.state, images.facts, images.due) == ("not applicable", (), None)
    assert images.reason == "The training data of the record is text alone."
    assert images.grounds
    assert set(images.grounds) <= {row.id for row in summary.evidence}


def test_the_public_summary_follows_the_generators_down_to_human_data(record: Record) -> None:
    generators = claim(told(record, "training-summary", "public"), "TS-2.5d")
    lineage = next(fact for fact in generators.facts if fact.path == "gen.lineage").value
    at = {name: place for place, name in enumerate(lineage["columns"])}
    named = {row[at["origin"]].removeprefix("model ") for row in lineage["rows"] if row[at["origin"]] != "human"}
    described = {row[at["cycle"]] for row in lineage["rows"]}
    assert named
    assert named <= described  # each model that wrote rows has rows of its own that say where they came from
    assert any(row[at["origin"]] == "human" for row in lineage["rows"] if row[at["cycle"]] == "c0000")


def test_words_of_ours_are_translated_and_words_of_others_never(record: Record) -> None:
    words = load(record.root, "annex-iv").words("de")
    assert words.told("decision", "promote") == "Befördert"
    assert words.told("outcome", "kept") == "Eingehalten"  # and not "behalten", as of rows
    assert words.told("makes", "evaluation, card") == "Bewertung, Karte"
    assert words.told("what", "c0003, promote") == "c0003, befördert"
    assert words.told("rights", "phase:train, signature") == "Phase: Trainieren, Unterschrift eines Modells"
    assert words.told("maker", "gate fcb292fae46eebbb (service)") == "Gate fcb292fae46eebbb (Dienst)"
    assert words.told("duties", "owner (demonstration key, not a person)") == "Eigentümer (Vorführschlüssel, keine Person)"
    assert words.told("reason", "the samples look wrong (again)") == "the samples look wrong (again)"
    assert words.recorded(
        "gate.reasons", "+3.0 points on 406 paired tasks (95 % interval -0.1 to 6.0), p = 0.0365 < 0.0400 allowed at look 4"
    ) == (
        "+3,0 Punkte bei 406 gepaarten Aufgaben (95-%-Intervall \u22120,1 bis 6,0), p = 0,0365 < 0,0400 zulässig bei Prüfung 4"
    )
    assert words.reference("Annex XI s1(2)(a), par. 4") == "Anhang XI Abschnitt 1(2)(a), Rn. 4"
    assert words.recorded("loop.name", "gate") == "gate"
    assert words.recorded("dataset.annotation", "checks") == "durch ausgeführte Prüfungen"
    for column in ("answer", "prompt", "task", "group", "value", "setting"):
        assert words.told(column, "promote") == "promote"
    assert words.recorded("org.name", "checks") == "checks"
