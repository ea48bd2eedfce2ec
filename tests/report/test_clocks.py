"""The clocks of incidents, case by case, from the shipped rows of `reports/law.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loopwright.errors import UsageError
from loopwright.ledger.incidents import Incident
from loopwright.report.clocks import due_dates, harms, read_clocks
from loopwright.report.law import law_of

LAW = law_of(Path(__file__).parents[2])
CLOCKS = read_clocks(LAW)
AWARE = "2026-11-25T10:00:00Z"


def incident(kind: str, *reports: dict[str, Any], closed_at: str | None = None, **facts: Any) -> Incident:
    told = {"kind": kind, "aware_at": AWARE, **facts}
    return Incident(id="inc-00000000", facts=told, leaves=(7,), keys=("k",), told=(), reports=reports, closed_at=closed_at)


def sent(form: str, at: str, under: str = "eu") -> dict[str, Any]:
    return {"form": form, "sent_at": at, "recipient": "an authority", "under": under, "leaf": 9}


def eu(one: Incident, form: str = "initial") -> list[Any]:
    return [due for due in due_dates(one, CLOCKS) if due.clock.under is None and due.clock.report == form]


@pytest.mark.parametrize(
    ("kind", "harm", "due"),
    [
        ("gpai", "critical-infrastructure", "2026-11-27T10:00:00Z"),
        ("gpai", "cybersecurity-breach", "2026-11-30T10:00:00Z"),
        ("gpai", "death", "2026-12-05T10:00:00Z"),
        ("gpai", "serious-harm", "2026-12-10T10:00:00Z"),
        ("art73", "critical-infrastructure", "2026-11-27T10:00:00Z"),
        ("art73", "widespread-infringement", "2026-11-27T10:00:00Z"),
        ("art73", "death", "2026-12-05T10:00:00Z"),  # ten days, not the two that some notes give
        ("art73", "serious-harm", "2026-12-10T10:00:00Z"),
        ("art73", "fundamental-rights", "2026-12-10T10:00:00Z"),
        ("art73", "property-environment", "2026-12-10T10:00:00Z"),
    ],
)
def test_an_initial_report_is_due_by_the_class_of_the_harm(kind: str, harm: str, due: str) -> None:
    assert [one.due_at for one in eu(incident(kind, harm=harm))] == [due]
    assert harm in harms(CLOCKS, kind)


def test_until_a_person_has_chosen_a_class_every_clock_is_shown() -> None:
    found = eu(incident("gpai"))
    assert [one.chosen for one in found] == [False] * 4
    assert len({one.due_at for one in found}) == 4


def test_a_near_miss_has_no_clock() -> None:
    assert due_dates(incident("gpai", near_miss=True, harm="death"), CLOCKS) == []


def test_the_deployers_knowledge_starts_the_clock_of_a_high_risk_system() -> None:
    [one] = eu(incident("art73", harm="death", deployer_aware_at="2026-11-24T10:00:00Z"))
    assert one.due_at == "2026-12-04T10:00:00Z"


@pytest.mark.parametrize(("at", "left"), [("2026-11-27T09:00:00Z", 3600), ("2026-11-27T12:00:00Z", -7200)])
def test_what_is_left_is_counted_from_the_moment_that_is_given(at: str, left: int) -> None:
    [one] = eu(incident("gpai", harm="critical-infrastructure"))
    assert one.left(at) == left


def test_a_sent_report_stops_its_clock_and_lateness_stays_visible() -> None:
    [one] = eu(incident("gpai", sent("initial", "2026-11-28T10:00:00Z"), harm="critical-infrastructure"))
    assert (one.state, one.met_leaf, one.left("2030-01-01T00:00:00Z")) == ("met", 9, -86_400)


def test_intermediate_reports_run_every_four_weeks_from_the_last_one_until_it_is_resolved() -> None:
    first, second = sent("initial", "2026-11-26T00:00:00Z"), sent("intermediate", "2026-12-20T00:00:00Z")
    assert [one.state for one in eu(incident("gpai"), "intermediate")] == ["waiting"]
    assert [one.due_at for one in eu(incident("gpai", first), "intermediate")] == ["2026-12-24T00:00:00Z"]
    assert [one.due_at for one in eu(incident("gpai", first, second), "intermediate")] == ["2027-01-17T00:00:00Z"]
    [over] = eu(incident("gpai", first, second, resolved_at="2027-01-01T00:00:00Z"), "intermediate")
    assert (over.state, over.met_at) == ("met", "2027-01-01T00:00:00Z")


def test_the_final_report_is_due_sixty_days_after_it_is_resolved() -> None:
    assert [one.state for one in eu(incident("gpai"), "final")] == ["waiting"]
    resolved = {"resolved_at": "2027-01-01T00:00:00Z"}
    assert [one.due_at for one in eu(incident("gpai", **resolved), "final")] == ["2027-03-02T00:00:00Z"]
    done = eu(incident("gpai", sent("final", "2027-02-01T00:00:00Z"), **resolved), "final")
    assert [one.state for one in done] == ["met"]


def test_other_regimes_have_clocks_of_their_own_that_a_report_in_europe_does_not_stop() -> None:
    told = incident("gpai", sent("initial", AWARE), sent("initial", AWARE, "california"), harm="death", imminent_danger=True)
    found = {one.clock.id: (one.state, one.due_at) for one in due_dates(told, CLOCKS) if one.clock.under is not None}
    assert found == {
        "ca-sb53": ("met", "2026-12-10T10:00:00Z"),
        "ca-sb53-imminent": ("met", "2026-11-26T10:00:00Z"),
        "ny-raise": ("running", "2026-11-28T10:00:00Z"),
        "ny-raise-imminent": ("running", "2026-11-26T10:00:00Z"),
    }
    assert not [one for one in due_dates(incident("art73"), CLOCKS) if one.clock.under is not None]


@pytest.mark.parametrize(
    "changed", [{"days": 0}, {"start": "broken_at"}, {"when": "full_moon"}, {"until": "x"}, {"report": None}]
)
def test_a_row_that_cannot_run_is_refused(changed: dict[str, Any]) -> None:
    row = LAW.clocks[[one.id for one in LAW.clocks].index("gpai-death")].model_copy(update=changed)
    with pytest.raises(UsageError, match="gpai-death"):
        read_clocks(LAW.model_copy(update={"clocks": (row,)}))
