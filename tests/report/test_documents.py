"""The documents as data: every field that the regulation set lists stands once, as listed, with words in each language.

`regulation.csv` is that list: id, reference, source, recipients, and the number of the page it comes from.
"""

from __future__ import annotations

import csv
import functools
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from loopwright.report.declaration import Declaration
from loopwright.report.facts.registry import names
from loopwright.report.law import law_of
from loopwright.report.parse import parse_strict

REPORTS = Path(__file__).parents[2] / "reports"
LANGUAGES = ("en", "de")
PAGES = {
    "annex-iv": ("01",),
    "annex-xi": ("02",),
    "annex-xii": ("03",),
    "model-documentation": ("04",),
    "training-summary": ("05",),
    "copyright-policy": ("06",),
    "safety-framework": ("07",),
    "model-report": ("08",),
}
"""Which pages of the regulation set a document answers."""
LETTERS = {"O": "ai-office", "N": "national-authority", "D": "downstream"}


@functools.cache
def regulation() -> dict[str, dict[str, str]]:
    with (Path(__file__).parent / "regulation.csv").open(newline="") as stream:
        return {row["id"]: row for row in csv.DictReader(stream)}


@functools.cache
def read(document: str, name: str) -> dict[str, Any]:
    return yaml.safe_load((REPORTS / document / name).read_bytes())  # type: ignore[no-any-return]


def fields_of(document: str) -> list[dict[str, Any]]:
    return [field for section in read(document, "fields.yaml")["sections"] for field in section["fields"]]


ALL = sorted(path.parent.name for path in REPORTS.glob("*/labels.en.yaml") if path.parent.name != "theme")


@pytest.mark.parametrize("document", PAGES)
def test_a_document_has_every_field_of_its_pages_once_as_listed(document: str) -> None:
    listed = {key: row for key, row in regulation().items() if row["file"] in PAGES[document]}
    fields = fields_of(document)
    assert Counter(field["id"] for field in fields) == Counter(listed.keys())
    assert {field["id"]: (field["ref"], field["source"]) for field in fields} == {
        key: (row["ref"], row["source"]) for key, row in listed.items()
    }


@pytest.mark.parametrize("document", ALL)
def test_every_word_is_there_in_each_language_and_no_other(document: str) -> None:
    declared = read(document, "fields.yaml")
    fields = fields_of(document)
    reasons = {rule["reason"] for field in fields for rule in field.get("na", ())}
    for language in LANGUAGES:
        labels = read(document, f"labels.{language}.yaml")
        assert set(labels["fields"]) == {field["id"] for field in fields}
        assert set(labels["sections"]) == {section["id"] for section in declared["sections"]}
        assert set(labels.get("na", {})) == reasons
        words = [labels[key] for key in ("title", "purpose", "limits", "applies")]
        words += [*labels["sections"].values(), *labels.get("na", {}).values()]
        words += [one[key] for one in labels["fields"].values() for key in ("label", "help")]
        assert all(isinstance(word, str) and word.strip() == word and word for word in words)


@pytest.mark.parametrize("document", PAGES)
def test_each_field_tells_in_one_sentence_by_which_law_it_is_asked(document: str) -> None:
    for language in LANGUAGES:
        for key, words in read(document, f"labels.{language}.yaml")["fields"].items():
            plain = re.sub(r"(Art|Nr|Abs|Buchst|Ziff|z|B)\. ", "", words["help"])
            assert re.fullmatch(r"[A-ZÄÖÜ].*\)\.", plain), key
            assert not re.search(r"[.!?] ", plain), key


def test_the_form_goes_to_the_recipients_of_its_ticks_and_a_doubtful_tick_to_the_narrower_circle() -> None:
    ticks = regulation()
    declared = read("model-documentation", "fields.yaml")["audiences"]
    for field in fields_of("model-documentation"):
        cell = ticks[field["id"]]["recipients"]
        letters = "ON" if cell in {"OND?", "O / N split"} else cell.rstrip("?")
        assert field.get("audience", declared) == [*(LETTERS[letter] for letter in letters), "internal"], field["id"]
        if cell.endswith("?"):
            for language, word in (("en", "not confirmed"), ("de", "nicht bestätigt")):
                assert word in read("model-documentation", f"labels.{language}.yaml")["fields"][field["id"]]["help"]


def test_what_the_record_fills_has_a_query_and_a_legal_field_says_what_was_not_verified() -> None:
    for document in PAGES:
        assert all(field.get("query") for field in fields_of(document) if field["source"] == "auto")
        assert "not verified against the Official Journal" in read(document, "labels.en.yaml")["applies"]
        assert "nicht am Amtsblatt überprüft" in read(document, "labels.de.yaml")["applies"]


@pytest.mark.parametrize("document", PAGES)
def test_what_a_document_names_exists(document: str) -> None:
    law = law_of(REPORTS.parent)
    declared = parse_strict(Declaration, (REPORTS / document / "fields.yaml").read_bytes(), document)
    paths = {path for field in declared.fields for path in field.query}
    paths |= {path for field in declared.fields for view in field.views for path in view.query}
    paths |= {rule.when for field in declared.fields for rule in field.na}
    assert paths <= set(names())
    assert declared.document == document
    assert declared.law.act in law.acts
    assert {declared.due, *(field.due for field in declared.fields if field.due)} <= set(law.due)
    for field in declared.fields:
        assert not field.query or field.show == names()[field.query[0]].show, field.id
