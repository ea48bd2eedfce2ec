"""Incidents: opened, told of and closed by persons, signed; their clocks are shown, and a freeze is offered."""

from __future__ import annotations

from typing import Any

import pytest

from loopwright.errors import PlanError, RefusedError, UsageError
from loopwright.ledger.incidents import incidents
from loopwright.ledger.order import disorder
from loopwright.ledger.verify import verify
from loopwright.workspace import Workspace
from tests.govern.test_govern_verbs import told, typed

AWARE = ("--aware-at", "2026-11-25T12:00:00+02:00")


def opened(lab: Workspace, *more: str) -> dict[str, Any]:
    return told(lab, "incident", "open", "--kind", "gpai", *AWARE, *more)


def test_an_incident_from_its_opening_to_its_end(lab: Workspace) -> None:
    model = lab.state().cycles["c0000"].artifact("model")
    made = opened(lab, "--model", "c0000", "--member-state", "FR", "--member-state", "DE", "--near-miss", "--freeze")
    name = made["id"]
    assert made["facts"] == {
        "kind": "gpai",
        "aware_at": "2026-11-25T10:00:00Z",
        "near_miss": True,
        "model": model.digest,
        "member_states": ["DE", "FR"],
    }
    assert lab.state().acts.freezes[-1].predicate["incident"] == name
    told(lab, "incident", "update", name[:7], "--no-near-miss", "--harm", "death")
    typed(
        lab, "incident", "update", name, "--report", "initial", "--sent-at", "2026-11-26T00:00:00Z", "--recipient", "AI Office"
    )
    assert "initial report (eu, Code M9.3): due 2026-12-05T10:00:00Z, sent 2026-11-26T00:00:00Z" in typed(
        lab, "incident", "list"
    )
    told(lab, "incident", "close", name, "--resolved-at", "2026-12-01T00:00:00Z")
    assert told(lab, "incident", "list")["incidents"] == []
    [row] = told(lab, "incident", "list", "--all")["incidents"]
    assert row["leaves"] == list(incidents(lab.state().acts.incidents)[name].leaves)
    assert len(row["leaves"]) == 4
    assert next(one for one in row["clocks"] if one["id"] == "gpai-final")["due_at"] == "2027-01-30T00:00:00Z"
    assert verify(lab.root).findings == ()
    with pytest.raises(UsageError, match="was closed"):
        typed(lab, "incident", "update", name, "--harm", "death")


def test_opening_offers_the_freeze_and_does_not_take_it(lab: Workspace) -> None:
    assert "nothing is frozen" in typed(lab, "incident", "open", "--kind", "art73", *AWARE)
    assert not lab.state().acts.freezes
    [row] = told(lab, "incident", "list")["incidents"]
    typed(lab, "incident", "update", row["id"], "--freeze")
    assert lab.state().acts.freezes[0].predicate["incident"] == row["id"]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--harm", "embarrassment"), UsageError),
        (("--started-at", "2026-11-25"), PlanError),
        (("--started-at", "2026-11-25T10:00:00Z", "--ended-at", "2026-11-24T10:00:00Z"), PlanError),
        (("--member-state", "Germany"), PlanError),
        (("--model", "c0099"), UsageError),
    ],
)
def test_what_it_may_not_say_is_refused_and_nothing_recorded(lab: Workspace, words: tuple[str, ...], error: type) -> None:
    leaves = lab.state().leaves
    with pytest.raises(error):
        opened(lab, *words)
    assert lab.state().leaves == leaves


def test_no_service_may_tell_of_an_incident_and_the_order_is_checked(lab: Workspace) -> None:
    name = opened(lab)["id"]
    ledger = lab.ledger()
    said = {"incident": name, "act": "open", "facts": {}, "told_at": "2026-11-25T10:00:00Z"}
    with pytest.raises(RefusedError):
        ledger.append("incident", [], said, role="controller", event="x")
    ledger.append("incident", [], said, role="person", event="again")
    ledger.append("incident", [], {**said, "act": "close", "incident": "inc-ffffffff"}, role="person", event="unknown")
    ledger.append("incident", [], {**said, "act": "close"}, role="person", event="over")
    ledger.append("incident", [], {**said, "act": "update"}, role="person", event="late")
    found = [(code, message) for _, code, message in disorder(ledger.statements())]
    ledger.close()
    assert [code for code, _ in found] == ["order"] * 3
    assert all(
        word in message for (_, message), word in zip(found, ("opened before", "never", "after it was closed"), strict=True)
    )
