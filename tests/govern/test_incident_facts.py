"""An incident on the record, as documents tell it: facts from persons' entries, clocks at the document's date, and what stands open."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pytest

from loopwright.errors import UsageError
from loopwright.govern.halt import freeze
from loopwright.govern.incident import open_incident, update_incident
from loopwright.govern.requests import Desk
from loopwright.ledger.audit import audit
from loopwright.report.engine import document_of
from loopwright.report.facts import Fact, catalogue
from loopwright.report.loading import load
from loopwright.report.record import open_record
from loopwright.workspace import Workspace
from tests.govern.record import nobody

TOLD = {"kind": "gpai", "aware_at": "2026-11-25T10:00:00Z", "harm": "death", "model": "c0000"}


def seen(lab: Workspace, incident: str | None = None) -> Mapping[str, Fact]:
    return catalogue(audit(lab.root / "ledger"), lab.root, None, incident)


@pytest.fixture
def told(lab: Workspace) -> str:
    with Desk(lab, nobody) as desk:
        name = open_incident(desk, TOLD)
        freeze(desk, f"incident {name}", incident=name)
        return name


def test_what_persons_told_is_a_fact_with_its_entries_and_the_clock_runs_to_the_documents_date(
    lab: Workspace, told: str
) -> None:
    facts = seen(lab)
    [opened] = lab.state().acts.incidents
    assert (facts["incident.id"].value, facts["incident.id"].leaves) == (told, (opened.index,))
    assert facts["incident.harm_class"].value == "death"
    assert facts["incident.due_at"].value == "2026-12-05T10:00:00Z"
    clocks = facts["incident.clocks"].value
    rows = [dict(zip(clocks["columns"], row, strict=True)) for row in clocks["rows"]]
    assert [(row["report"], row["due_at"]) for row in rows][:1] == [("initial", "2026-12-05T10:00:00Z")]
    left = rows[0]["days_left"]
    assert left == 10 - _days(facts["log.as_of"].value)
    assert seen(lab)["incident.clocks"].value["rows"][0][-1] == left  # by the record's time, not by this machine's
    assert facts["incident.frozen"].value is True
    assert facts["incident.freeze"].value["rows"][0][0] == lab.state().acts.freezes[0].index
    made = lab.state().cycles["c0000"].artifact("model")
    assert facts["incident.model"].value["rows"][0][:3] == ["c0000", made.digest, True]
    assert made.digest in facts["incident.evidence"].digests
    kinds = [row[2] for row in facts["incident.timeline"].value["rows"]]
    assert {"incident", "freeze"} <= set(kinds)
    assert (facts["incident.no_gpai"].value, facts["incident.no_art73"].value, facts["incident.none"].value) == (
        False,
        True,
        False,
    )


def _days(moment: str) -> int:
    """Days begun since the clock did."""
    passed = datetime.fromisoformat(moment) - datetime.fromisoformat(TOLD["aware_at"])
    return passed.days + 1


def test_more_that_is_told_changes_the_facts(lab: Workspace, told: str) -> None:
    assert (seen(lab)["incident.complete"].value, seen(lab)["incident.number"].value) == (False, 1)
    sent = {"form": "initial", "sent_at": "2026-11-26T10:00:00Z", "recipient": "AI Office"}
    with Desk(lab, nobody) as desk:
        update_incident(desk, told, {"report": sent, "started_at": "2026-11-25T08:00:00Z", "causal_link_at": TOLD["aware_at"]})
    facts = seen(lab, told)
    assert (facts["incident.complete"].value, facts["incident.number"].value) == (True, 2)
    assert facts["incident.report_type"].value == "intermediate"
    assert facts["incident.due_at"].value == "2026-12-24T10:00:00Z"
    assert facts["incident.due_at_new_york"].value == "2026-11-28T10:00:00Z"
    with pytest.raises(UsageError, match="no incident 'inc-00000000'"):
        _ = seen(lab, "inc-00000000")["incident.id"].value


def test_without_an_incident_rules_stand_and_nothing_else(lab: Workspace) -> None:
    facts = seen(lab)
    assert (facts["incident.none"].value, facts["incident.no_gpai"].value) == (True, True)
    assert facts["incident.id"].value is None
    assert facts["incident.clocks"].value is None
    lengths = {(row[3], row[4]) for row in facts["incident.clock_rules_art73"].value["rows"]}
    assert lengths == {(2, "days"), (10, "days"), (15, "days")}


def test_a_lawyers_other_number_of_days_is_the_due_date(lab: Workspace, told: str) -> None:
    shipped = Path(__file__).parents[2] / "reports" / "law.yaml"
    (lab.root / "reports").mkdir(exist_ok=True)
    shutil.copy(shipped, lab.root / "reports" / "law.yaml")
    text = (lab.root / "reports" / "law.yaml").read_text(encoding="utf-8")
    assert text.count("from: aware_at, days: 10,") == 1
    (lab.root / "reports" / "law.yaml").write_text(text.replace("from: aware_at, days: 10,", "from: aware_at, days: 9,"))
    assert seen(lab)["incident.due_at"].value == "2026-12-04T10:00:00Z"


def test_documents_are_kept_so_long_from_what_a_person_stated(lab: Workspace) -> None:
    facts = seen(lab)
    [row] = facts["policy.keep_documentation"].value["rows"]
    assert row == ["Art. 18", 10, "years", False, "release.eu_date", None, None]
    [logs] = facts["policy.keep_logs"].value["rows"]
    assert logs[1:4] == [6, "months", True]
    assert logs[6] > logs[5][:10]
    assert facts["policy.clock_notification"].value["rows"] == [["Art. 52(1)", 2, "weeks", False, "threshold_known_at", False]]


def test_a_document_is_about_the_newest_incident_of_its_kind(lab: Workspace, told: str) -> None:
    with Desk(lab, nobody) as desk:
        later = open_incident(desk, {**TOLD, "kind": "art73"})
    record = open_record(lab.root)
    assert [record.about("incident", None, kind)[0] for kind in ("gpai", "art73", None)] == [told, later, later]
    with pytest.raises(UsageError, match=f"{later} is of kind art73, not gpai"):
        record.about("incident", later, "gpai")
    _, cycle = record.about("cycle", None)
    assert (
        record.facts(cycle, cycle, "gpai")["incident.no_gpai"].value is False
    )  # an extract of a cycle hears of it all the same
    for document in ("incident-gpai", "california-sb53", "new-york-raise"):
        made = document_of(record, load(lab.root, document), None, language="en", audience="internal")
        assert not any("No incident" in str(claim.reason) or "not of this kind" in str(claim.reason) for claim in made.claims)
