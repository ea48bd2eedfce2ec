"""The documents of incidents, logs, instructions, quality, changes, retention and other regimes: as listed, with words, buildable.

`regulation.csv` is the regulation set's list: id, reference, source, and the number of the page it comes from.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from loopwright.report.declaration import Declaration, Labels
from loopwright.report.facts.registry import names
from loopwright.report.law import law_of
from loopwright.report.parse import parse_strict

REPORTS = Path(__file__).parents[2] / "reports"
PAGES = ("09", "10", "12", "13", "14", "15", "16", "17", "18", "19", "20", "21", "22")
DOCUMENTS = (
    *("incident-gpai", "incident-art73", "logs", "instructions", "qms", "declaration", "eu-database", "post-market"),
    *("modification", "retention", "systemic-risk", "risk-data", "california-sb53", "california-ab2013", "new-york-raise"),
    *("nist-ai-rmf", "iso-42001", "bill-of-materials"),
)


def listed() -> dict[str, tuple[str, str]]:
    with (Path(__file__).parent / "regulation.csv").open(newline="", encoding="utf-8") as stream:
        return {row["id"]: (row["ref"], row["source"]) for row in csv.DictReader(stream) if row["file"] in PAGES}


def declared(document: str) -> Declaration:
    return parse_strict(Declaration, (REPORTS / document / "fields.yaml").read_bytes(), f"reports/{document}/fields.yaml")


def labels(document: str, language: str) -> dict[str, Any]:
    data = (REPORTS / document / f"labels.{language}.yaml").read_bytes()
    parse_strict(Labels, data, f"reports/{document}/labels.{language}.yaml")
    return yaml.safe_load(data)


def test_every_listed_field_stands_once_with_its_reference_and_source() -> None:
    fields = [field for document in DOCUMENTS for field in declared(document).fields]
    assert [name for name, times in Counter(field.id for field in fields).items() if times > 1] == []
    here = {field.id: (field.ref, field.source) for field in fields}
    assert {name: here.get(name) for name in listed()} == listed()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_language_has_the_words_of_every_field_and_no_other(document: str) -> None:
    fields, law = declared(document), law_of(REPORTS.parent)
    reasons = {rule.reason for field in fields.fields for rule in field.na}
    for language in ("en", "de"):
        words = labels(document, language)
        assert set(words["fields"]) == {field.id for field in fields.fields}
        assert set(words["sections"]) == {section.id for section in fields.sections}
        assert set(words.get("na", {})) == reasons
        for field, one in words["fields"].items():
            assert re.fullmatch(r"[^.!?]+(\.\d+[^.!?]*)*\.", one["help"]), (field, one["help"])  # one sentence
    english, german = labels(document, "en"), labels(document, "de")
    same = {name for name, one in english["fields"].items() if one["label"] == german["fields"][name]["label"]}
    assert same <= {"DB-A7", "DB-B8"}  # Status
    assert fields.document == document
    assert fields.law.act in law.acts
    assert {fields.due, *(field.due for field in fields.fields if field.due)} <= set(law.due)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_document_asks_of_the_record_exists(document: str) -> None:
    known = names()
    for field in declared(document).fields:
        assert {*field.query, *(rule.when for rule in field.na)} <= set(known), field.id
        assert all(known[rule.when].show == "yesno" for rule in field.na), field.id


def test_only_what_the_record_shows_is_set_aside_and_a_person_concludes() -> None:
    """N/A by itself never stands where a person must conclude, but in a report about an incident that nobody opened."""
    for document in DOCUMENTS:
        for field in declared(document).fields:
            assert not (field.source == "human" and field.na) or document.startswith("incident-"), field.id
    assert next(field for field in declared("modification").fields if field.id == "SM-5").query == ()


SAME = frozenset(
    [
        "DC-7",
        "DB-A2",
        "DB-A3",
        "DB-A5",
        "DB-A7",
        "DB-A8",
        "DB-A10",
        "DB-A13",
        "DB-B5",
        "DB-B8",
        "DB-B9",
        "IU-b-i",
        "IU-b-vii",
        "AR-3",
        "RM-2a",
        "RM-5",
        "NY-1",
    ]
)
"""Fields that ask for the very thing that an item of the profile is."""


def test_an_answer_in_the_profile_answers_only_a_field_that_asks_the_same() -> None:
    """A signed answer to a field's first query is its statement: a name must not become a declaration of responsibility."""
    profile = {field.id for field in declared("profile").fields}
    answered = {
        field.id
        for document in DOCUMENTS
        for field in declared(document).fields
        if field.source != "auto" and field.query and field.query[0] in profile
    }
    assert answered <= SAME
