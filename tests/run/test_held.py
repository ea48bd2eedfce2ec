"""A held model waits for persons: the loop leaves with exit 4, promotes what they granted, and goes on without what they refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import loopwright.gate
from loopwright.errors import WaitingForPerson
from loopwright.govern.requests import Desk
from loopwright.ledger.verify import verify
from loopwright.session import open_run
from loopwright.workspace import Workspace, load_flow
from tests.run.test_bad_input import Silent


def let_gate_say(action: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """This of c0001, whatever it sees."""
    real = loopwright.gate.decide

    def decide(section: Any, inputs: Any, context: Any) -> dict[str, Any]:
        summary = real(section, inputs, context)
        if context.cycle == "c0001":
            file: Path = next(context.output.glob("decision.json"))
            file.write_text(json.dumps({**json.loads(file.read_bytes()), "action": action}), encoding="utf-8")
            return {**summary, "action": action, "reasons": [reason, *summary["reasons"]]}
        return summary

    monkeypatch.setattr(loopwright.gate, "decide", decide)


@pytest.fixture
def holding(monkeypatch: pytest.MonkeyPatch) -> None:
    let_gate_say("hold", "a jump", monkeypatch)


def turn(lab: Workspace, until: int) -> None:
    with open_run(lab, Silent()) as run:
        load_flow(lab.root)(run, until)


def test_a_held_model_is_promoted_by_persons_or_stays_where_it_is(lab: Workspace, holding: None) -> None:
    with pytest.raises(WaitingForPerson, match=r"c0001 is held: a jump; .*promote: cycle c0001"):
        turn(lab, 2)
    with Desk(lab, lambda _: b"") as people:
        [asked] = people.consent.state().acts.requests.values()
        held = people.consent.state().cycles["c0001"]
        kinds = ("decision", "evaluation", "card")
        assert asked.said["evidence"] == [artifact.digest for kind in kinds if (artifact := held.artifact(kind))]
        assert people.consent.state().champion == "c0000"
        [operator] = held.launchers
        assert (people.consent.state().roster.holdings[operator].principal.duties, asked.said["launchers"]) == (
            ("operator",),
            [operator],
        )
        people.answer(asked, approves=True, name="safety", reason="looked at the rows")
    turn(lab, 2)
    state = lab.state()
    assert (state.cycles["c0001"].action, state.cycles["c0002"].parent) == ("hold", "c0001")
    assert state.champion == "c0001"
    assert verify(lab.root).ok


def test_a_held_model_that_a_person_is_against_stays_unpromoted(lab: Workspace, holding: None) -> None:
    turn(lab, 1)
    with Desk(lab, lambda _: b"") as people:
        [asked] = people.consent.state().acts.requests.values()
        people.answer(asked, approves=False, name="owner", reason="the jump is a leak")
    turn(lab, 2)
    state = lab.state()
    assert (state.cycles["c0002"].parent, len(state.acts.requests)) == ("c0000", 1)
