"""Every field that the regulation set lists is in a built document, and says something: no blank is silent."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from loopwright.report import documents
from loopwright.report.engine import build_from
from loopwright.report.loading import load
from loopwright.report.record import open_record

UNMEASURED = {"XI-1-2e", "MDF-8.1"}
"""This loop's plan measures no energy (`runtime.energy: none`): that its energy is NOT PROVIDED is right, and owed by somebody."""
UNCLASSIFIED = {"TS-2.1a", "TS-2.2.2a", "TS-2.3a", "TS-2.4a", "TS-2.6a"}
"""One source of this loop says of its origin only "a test", which is no class: whether it was public or crawled, a person has to say."""
UNTRIED = {"AR-5d"}
"""It shows how far verifier and gate differ, over the levels that both have; this loop's few tasks have none in common."""


@pytest.fixture(scope="module")
def claims(answered: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """All claims of all documents for everybody within, as their JSON files have them."""
    record, folder = open_record(answered), tmp_path_factory.mktemp("data")
    built = [
        build_from(record, load(answered, name), None, folder, language="en", audience="internal", formats=("json",))
        for name in documents(answered)
    ]
    told = [json.loads(one.json.read_bytes()) for one in built]
    return [claim for one in told for section in one["sections"] for claim in section["claims"]]


def test_every_field_of_the_regulation_stands_once_and_none_is_blank(
    claims: list[dict[str, Any]], regulation: dict[str, str]
) -> None:
    listed = [claim for claim in claims if claim["id"] in regulation]
    assert len(regulation) == 476
    assert Counter(claim["id"] for claim in listed) == Counter(regulation.keys())
    assert {claim["id"]: claim["source"] for claim in listed} == regulation
    for claim in claims:
        assert claim["label"], claim["id"]
        assert _says(claim), claim["id"]


def _says(claim: dict[str, Any]) -> bool:
    """Does it say what its state promises?"""
    said = claim["statement"]
    words = bool(said and said["by"] and (said["text"] or said["files"] or said["kind"] == "confirmed"))
    return {
        "value": bool(claim["facts"]) and all(map(_stands, claim["facts"])),
        "draft": bool(claim["facts"]) and bool(claim["due"]),
        "statement": words,
        "not provided": bool(claim["owner"] and claim["due"] and claim["help"]),
        "not applicable": bool(claim["reason"] and claim["grounds"]) or words,
    }[claim["state"]]


def _stands(fact: dict[str, Any]) -> bool:
    """A value points to its evidence; the law's rows and the guidelines' own examples are under the digest of the sources."""
    by_sources = {"as reports/law.yaml states it", "reckoned by this program"}
    return fact["value"] is not None and (bool(fact["evidence"]) or fact["method"] in by_sources)


def test_the_record_answers_what_it_can_answer(claims: list[dict[str, Any]], regulation: dict[str, str]) -> None:
    """In the demonstration: each field that the record fills has a value or a reason, each that it prefills has facts."""
    state = {claim["id"]: claim["state"] for claim in claims}
    auto = [key for key, source in regulation.items() if source == "auto"]
    both = [key for key, source in regulation.items() if source == "auto+human"]
    assert (len(auto), len(both)) == (183, 154)
    assert {key for key in auto if state[key] not in {"value", "not applicable"}} | {
        key for key in both if state[key] == "not provided"
    } == UNMEASURED | UNCLASSIFIED | UNTRIED


def test_a_demonstration_says_that_it_is_one(claims: list[dict[str, Any]], answered: Path) -> None:
    profile = {field.id for field in load(answered, "profile").declaration.fields}
    said = {claim["id"]: claim["statement"] for claim in claims if claim["id"] in profile}
    assert said.keys() == profile
    assert all(one["note"] for one in said.values())  # a demonstration's key, not a person's
    log = subprocess.run(["git", "log", "--format=%s", "-2"], cwd=answered, check=True, capture_output=True, text=True).stdout
    assert log.splitlines()[0] == f"record: an answer to {len(profile)} fields"  # one commit, and no more
    assert "record:" not in log.splitlines()[1]
