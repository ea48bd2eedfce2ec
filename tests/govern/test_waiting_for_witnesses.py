"""Where the policy asks for a witness, neither the gate nor persons promote a model before one has seen the decision."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import loopwright.gate
from loopwright.errors import HaltedError, WaitingForPerson
from loopwright.govern.requests import Desk
from loopwright.ledger.inspection import inspect
from loopwright.ledger.witness import Witness
from loopwright.session import open_run
from loopwright.workspace import Workspace, load_flow, set_plan
from tests.govern.record import Silent, executed, nobody
from tests.ledger.outside import loopwright as typed

Decide = Callable[[str], None]


@pytest.fixture
def deciding(monkeypatch: pytest.MonkeyPatch) -> Decide:
    """``deciding(action)``: what the gate says of c0001, whatever it sees."""
    real, chosen = loopwright.gate.decide, ["hold"]

    def decide(section: Any, inputs: Any, context: Any) -> dict[str, Any]:
        summary = real(section, inputs, context)
        file: Path = next(context.output.glob("decision.json"))
        file.write_text(json.dumps({**json.loads(file.read_bytes()), "action": chosen[0]}), encoding="utf-8")
        return {**summary, "action": chosen[0], "reasons": ["said so", *summary["reasons"]]}

    monkeypatch.setattr(loopwright.gate, "decide", decide)
    return lambda action: chosen.__setitem__(0, action)


def turn(lab: Workspace, until: int) -> None:
    with open_run(lab, Silent()) as run:
        load_flow(lab.root)(run, until)


def watched(lab: Workspace, place: Path) -> Witness:
    """Persons agree that a witness has to see every promotion from now on."""
    witness = Witness.create(place, "w1.example.org")
    set_plan(lab.root, {"approvals.witness": {"required": 1, "known": [str(witness.key)]}})
    subprocess.run(["git", "commit", "-qm", "a witness", "loop.yaml"], cwd=lab.root, check=True)
    executed(lab, "policy")
    return witness


def entries(lab: Workspace, kind: str) -> list[Any]:
    ledger = lab.ledger()
    try:
        return [one for one in ledger.statements() if one.kind == kind]
    finally:
        ledger.close()


def test_the_gates_promotion_waits_and_goes_on_where_it_stood(lab: Workspace, tmp_path: Path, deciding: Decide) -> None:
    [none] = [one.predicate["witness"] for one in entries(lab, "close")]
    assert none == {"required": 0, "accepted": []}, "nobody had to see c0000, and the record says so"
    deciding("promote")
    watched(lab, tmp_path / "w1")
    for _ in range(2):
        with pytest.raises(WaitingForPerson, match=r"promotion of c0001 waits for witnesses: 0 of 1 \(of w1") as waiting:
            turn(lab, 1)
    assert "loopwright witness cosign" in waiting.value.next_step
    state = lab.state()
    assert (state.open, state.champion, len(entries(lab, "signature"))) == ("c0001", "c0000", 2)
    assert typed("witness", "cosign", lab.root, "--state", tmp_path / "w1").code == 0
    phases = len(entries(lab, "phase"))
    turn(lab, 1)
    [_, closed] = entries(lab, "close")
    [seen] = closed.predicate["witness"]["accepted"]
    assert (lab.state().champion, seen["witness"], len(entries(lab, "phase"))) == ("c0001", "w1.example.org", phases)
    assert state.cycles["c0001"].phases["decide"].index < seen["size"] <= closed.index
    assert inspect(lab.root).findings == ()
    signed_by_its_own_command_line(lab, tmp_path / "clone")


def signed_by_its_own_command_line(lab: Workspace, clone: Path) -> None:
    """The champion's weights verify on a fresh checkout, by OpenSSF's command line and what is in git."""
    subprocess.run(["git", "clone", "-q", lab.root, clone], check=True)
    folder = clone / "cycles" / "c0001"
    assert not (folder / "model").exists()
    shutil.copytree(lab.root / "cycles" / "c0001" / "model", folder / "model")  # what `dvc pull` brings
    words = ["--signature", folder / "model.sig", "--public_key", folder / "model-key.pem"]
    command = [sys.executable, "-m", "model_signing", "verify", "key", folder / "model", *words]
    done = subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [*_, said] = entries(lab, "signature")
    assert said.predicate["public_key"] == (folder / "model-key.pem").read_text()


def test_what_persons_promote_waits_as_well_and_a_fork_stops(lab: Workspace, tmp_path: Path, deciding: Decide) -> None:
    deciding("hold")
    witness = watched(lab, tmp_path / "w1")
    with pytest.raises(WaitingForPerson, match="c0001 is held"):
        turn(lab, 2)
    assert typed("witness", "cosign", lab.root, "--state", tmp_path / "w1").code == 0
    with Desk(lab, nobody) as people:
        asked = list(people.consent.state().acts.requests.values())[-1]
        approval = people.answer(asked, approves=True, name="safety", reason="looked")
    with pytest.raises(WaitingForPerson, match="0 of 1"):
        turn(lab, 2)  # what the witness saw was before the approval
    assert lab.state().champion == "c0000"
    assert typed("witness", "cosign", lab.root, "--state", tmp_path / "w1").code == 0
    deciding("reject")
    turn(lab, 2)
    [*_, done] = entries(lab, "execute")
    assert (lab.state().champion, done.predicate["witness"]["accepted"][0]["size"] > approval) == ("c0001", True)
    assert (lab.root / "cycles/c0001/model.sig").is_file(), "what persons promoted is signed, too"
    log = subprocess.run(["git", "log", "--format=%s"], cwd=lab.root, capture_output=True, text=True, check=True).stdout
    assert log.splitlines().count("c0001: hold") == 1
    assert inspect(lab.root).findings == ()
    [known] = witness.remembered()
    refused = lab.root / "ledger" / "refused" / "9-x"
    refused.parent.mkdir()
    refused.write_text(known["note"])
    turn(lab, 2)  # this log continues it: no evidence of anything


def test_a_gates_halt_ends_the_next_run_as_any_halt_does(lab: Workspace, deciding: Decide) -> None:
    deciding("halt")
    for _ in range(2):
        with pytest.raises(HaltedError, match="c0001 halted the loop: said so"):
            turn(lab, 2)
    executed(lab, "resume")
    deciding("reject")
    turn(lab, 2)
