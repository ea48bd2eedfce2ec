"""A real loop under a signed envelope: unsigned it waits, signed it is checked by every decision, and replays give the same bytes."""

from __future__ import annotations

import json
import subprocess

import pytest

from loopwright.errors import WaitingForPerson
from loopwright.govern.envelope import draft_of, in_force
from loopwright.ledger.verify import verify
from loopwright.replay import replay
from loopwright.types import Artifact, digest_bytes
from loopwright.workspace import Workspace
from tests.govern.record import executed
from tests.govern.test_halt import turn


def write(lab: Workspace, text: str) -> Artifact:
    (lab.root / "envelope.yaml").unlink()  # a link to the seeded workspace's
    (lab.root / "envelope.yaml").write_text(text, encoding="utf-8")
    subprocess.run(["git", "commit", "-qam", "an envelope"], cwd=lab.root, check=True)
    return Artifact(kind="envelope", digest=digest_bytes(text.encode()), path="envelope.yaml")


def test_what_is_drafted_is_inside_and_what_is_changed_is_named(lab: Workspace) -> None:
    assert in_force(lab) == {"digest": None, "file": "none"}
    drafted = write(lab, draft_of(lab))
    with pytest.raises(WaitingForPerson, match="is not the envelope that persons signed"):
        turn(lab, 1)
    assert "c0001" not in lab.state().cycles
    executed(lab, "envelope", {"path": "envelope.yaml"})
    assert in_force(lab) == {"digest": drafted.digest, "file": "in force"}
    turn(lab, 1)
    decision = json.loads((lab.root / "cycles/c0001/decision.json").read_bytes())
    assert decision["envelope"]["digest"] == drafted.digest
    said = decision["envelope"]["left"]
    assert not [left for left in said if "must_stay" in left or "foresee" in left or "foreseen" in left], said
    opened = [one for one in lab.ledger().statements() if one.kind == "open"][-1]
    assert opened.predicate["envelope"] == drafted.digest

    before = (lab.root / "cycles/c0001/decision.json").read_bytes()
    replay(lab.root, "decide", "c0001")
    assert (lab.root / "cycles/c0001/decision.json").read_bytes() == before

    write(lab, draft_of(lab).replace("generator.temperature: 0.8", "generator.temperature: 0.7"))
    with pytest.raises(WaitingForPerson, match="is not the envelope that persons signed"):
        turn(lab, 2)
    executed(lab, "envelope", {"path": "envelope.yaml"})
    turn(lab, 2)
    left = json.loads((lab.root / "cycles/c0002/decision.json").read_bytes())["envelope"]["left"]
    assert "envelope: must_stay generator.temperature: 0.8 instead of 0.7" in left
    assert verify(lab.root).findings == ()
