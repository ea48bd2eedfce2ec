"""Every fact of these areas has a query of its own, or is the words of a person: a new one without fails here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random

import pytest

from loopwright.errors import IntegrityError
from loopwright.ledger.audit import audit
from loopwright.ledger.verify import verify
from loopwright.report.facts import catalogue
from loopwright.report.facts.answered import ANSWERED
from loopwright.report.facts.registry import names
from tests.report import (
    test_facts_data,
    test_facts_evaluations,
    test_facts_making,
    test_facts_models,
    test_facts_runs,
)
from tests.report.altered import Draft
from tests.report.queries import Case, Nothing, Query, Seen, still, wrong
from tests.report.test_facts import QUERIES
from tests.report.test_facts_at_large import OVER_ALL, STATED

AREAS = ("dataset", "model", "run", "env", "eval", "gen", "filter", "crawl", "code", "system", "org", "cycle")
PARTS = (test_facts_data, test_facts_evaluations, test_facts_making, test_facts_models, test_facts_runs)
HERE: dict[str, Query] = {path: query for part in PARTS for path, query in part.ASKED.items()}


def of_the_second(query: object) -> Query:
    """One of the first queries, which knew one cycle of one record, as a query of any record at that cycle."""

    def asked(see: Seen) -> object:
        try:
            return query(list(see.entries), see.root)  # type: ignore[operator]
        except StopIteration as error:
            raise Nothing("entry") from error

    return asked


OLDER = {
    path: of_the_second(query)
    for path, query in {**QUERIES, **STATED, **OVER_ALL}.items()
    if path.split(".")[0] in AREAS and path not in HERE
}
WORDS = tuple(path for path in ANSWERED if path not in HERE)
"""What is the text of an answer and nothing else."""


def test_each_fact_has_a_query_or_is_what_a_person_says() -> None:
    asked = {*HERE, *OLDER, *WORDS}
    assert {path for path in names() if path.split(".")[0] in AREAS} - asked == set()
    assert {*HERE, *OLDER} <= names().keys()
    assert len(HERE) == sum(len(part.ASKED) for part in PARTS), "one fact is asked for in two places"


def test_the_first_queries_hold_in_other_records_too(panel: list[Case]) -> None:
    cases = [case for case in panel if case.see.cycle == "c0002"]
    assert wrong(OLDER, cases) == {}
    assert set(still(OLDER, cases)) == {"cycle.name", "cycle.prev", "model.version"}, "names of the cycle that was asked about"


def test_no_fact_tells_where_a_model_elsewhere_is_asked(panel: list[Case]) -> None:
    told = next(case for case in panel if case.name == "c0002 of elsewhere")
    said = json.dumps({path: told.facts[path].value for path in HERE})
    assert '"endpoint.url", "sha256:' in said
    assert "inside.example" not in said
    assert "giant.key" not in said


def test_every_answer_is_the_fact_of_its_name_and_without_it_there_is_none(panel: list[Case], tmp_path: Path) -> None:
    """Words drawn at random, signed by one person or the other; then withdrawn, or said not to apply."""
    real, chance = panel[2], Random(7)
    assert [path for path in WORDS if real.facts[path].value is not None] == []
    draft = Draft(real.see.root, tmp_path / "told")
    words = {path: "".join(chance.choices("aäß<>&'\"{}%\n\u202e🜁 ", k=40)) for path in WORDS}
    places = {path: draft.answer(path, text, signer=chance.choice(draft.persons)) for path, text in words.items()}
    told = draft.case("told", real.record)
    for path, text in words.items():
        fact, place = told.facts[path], places[path]
        assert (fact.value, fact.leaves, fact.method) == (text, (place,), "answered"), path
        assert told.see.entries[place]["keyid"] in draft.persons
        assert fact.digests == (told.see.entries[place]["predicate"]["digest"],), path
    for at, path in enumerate(WORDS):
        draft.answer(path, None, state=("withdrawn", "not-applicable")[at % 2])
    gone = draft.case("gone", real.record)
    assert [path for path in WORDS if gone.facts[path].value is not None] == []


def test_settings_of_a_past_that_came_along_are_held_against_the_record(panel: list[Case], tmp_path: Path) -> None:
    lab = shutil.copytree(panel[-1].see.root, tmp_path / "lab", symlinks=True)
    file = lab / "cycles/c0000/config/seed.json"
    assert verify(lab).findings == ()
    file.write_bytes(file.read_bytes().replace(b"CC-BY-SA-4.0", b"CC-BY-XX-4.0"))
    assert [found.where for found in verify(lab).findings] == ["cycles/c0000/config/seed.json"]
    with pytest.raises(IntegrityError, match=r"seed\.json"):
        catalogue(audit(lab / "ledger"), lab)["dataset.sources"]
