"""The law as data: every row of the regulation's table of deadlines, schemas that are those of the models, files that satisfy them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from loopwright.errors import UsageError
from loopwright.report.law import Due, due_date, law_of, read_law
from loopwright.report.loading import load
from loopwright.report.schemas import PUBLISHED, schema_text
from loopwright.report.sources import documents

REPORTS = Path(__file__).parents[2] / "reports"
ALL = documents(REPORTS.parent)


def test_every_row_of_the_table_is_there() -> None:
    law = law_of(REPORTS.parent)
    assert [row.id for row in law.retention] == [f"RT-{number}" for number in range(1, 8)]
    assert {row.field for row in law.clocks} >= {f"CL-{number}" for number in range(1, 11)}
    days = {row.date for row in law.application}
    assert {
        "2025-02-02",
        "2025-08-02",
        "2026-08-02",
        "2026-12-02",
        "2027-08-02",
        "2027-09-02",
        "2027-12-02",
        "2028-08-02",
        None,
    } <= days
    assert law.acts["omnibus"].verified == "secondary"
    assert all({"en", "de"} <= set(words) for row in (*law.application, *law.retention) for words in (row.what,))
    assert read_law(REPORTS.parent)["clocks"][0]["from"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_schema_is_the_models(name: str) -> None:
    assert (REPORTS / f"schema/{name}.json").read_text() == schema_text(name), (
        "python -m loopwright.report.schemas reports/schema"
    )


def test_every_file_satisfies_its_schema_and_fits_the_others() -> None:
    checks = {name: Draft202012Validator(json.loads(schema_text(name))) for name in PUBLISHED}
    files = {"law.yaml": "law", **{f"{name}/fields.yaml": "fields" for name in ALL}}
    for path in REPORTS.glob("*/labels.*.yaml"):
        files[path.relative_to(REPORTS).as_posix()] = "theme-labels" if path.parent.name == "theme" else "labels"
    for path, kind in files.items():
        told = json.loads(json.dumps(yaml.safe_load((REPORTS / path).read_bytes()), default=str))
        assert [error.message for error in checks[kind].iter_errors(told)] == [], path
    for name in ALL:
        loaded = load(REPORTS.parent, name)
        assert {"en", "de"} <= set(loaded.sources.languages)
        for language in loaded.sources.languages:
            loaded.labels(language)


def test_the_shared_words_are_the_same_in_every_language() -> None:
    first, *others = [
        yaml.safe_load(path.read_bytes()) for path in sorted((REPORTS / "theme").glob("labels.*.yaml"), reverse=True)
    ]
    for other in others:
        for part in ("words", "states", "audiences", "owners", "scopes"):
            assert set(other[part]) == set(first[part])


def test_a_due_date_is_computed_where_it_can_be() -> None:
    rule = Due.model_validate_json('{"label": {"en": "x"}, "from": "release.eu_date", "days": -14}')
    assert due_date(rule, "2027-03-01") == "2027-02-15"
    assert due_date(rule, None) is None
    assert due_date(rule, "soon") is None
    assert due_date(Due.model_validate_json('{"label": {"en": "x"}, "date": "2027-12-02"}'), None) == "2027-12-02"


def test_a_wrong_law_is_named_with_line_and_key(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    text = (REPORTS / "law.yaml").read_text()
    (tmp_path / "reports/law.yaml").write_text(text.replace("keep: {years: 10}", "keep: {yeers: 10}", 1))
    with pytest.raises(UsageError, match=r"reports/law\.yaml:\d+:retention\.0\.keep\.yeers: unknown key.*did you mean years"):
        law_of(tmp_path)
