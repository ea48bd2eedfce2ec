"""A record in which persons did everything that a fact speaks of, by their own acts: written on three real cycles, with real signatures."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from loopwright.consent import describe
from loopwright.govern.answers import Given, answer_all
from loopwright.govern.enrolment import Key, enrol_agent, revoke, rotate
from loopwright.govern.envelope import draft_of
from loopwright.govern.halt import freeze, halt
from loopwright.govern.incident import close_incident, open_incident, update_incident
from loopwright.govern.observe import observe
from loopwright.govern.requests import Desk
from loopwright.govern.steering import rollback
from loopwright.ledger.fold import LoopState
from loopwright.ledger.keys import public_bytes
from loopwright.trace import targets
from loopwright.trace.lineage import read_graph
from loopwright.trace.recall import affected, recall
from loopwright.workspace import Workspace
from tests.govern.record import executed, nobody
from tests.run.small import copy_of

SAID = {
    "release.eu_date": "2028-02-29",
    "log.biometric": "No.",
    "policy.retention": "Ten years, for it is a test.",
    "policy.framework": "The first framework.",
}
TOLD = {
    "kind": "gpai", "aware_at": "2026-01-05T10:00:00Z", "started_at": "2026-01-04T08:00:00Z", "deployer_aware_at": "2026-01-04T09:00:00Z",
    "causal_link_at": "2026-01-05T12:00:00Z", "harm": "death", "internal_use": True, "imminent_danger": True, "member_states": ["DE", "AT"],
}  # fmt: skip
MORE = {
    "ended_at": "2026-01-04T20:00:00Z", "near_miss": False,
    "report": {"form": "initial", "sent_at": "2026-01-07T10:00:00Z", "recipient": "AI Office", "receipt": "No. 7"},
}  # fmt: skip
OF_CALIFORNIA = {
    "form": "initial",
    "sent_at": "2026-01-05T18:00:00Z",
    "recipient": "Office of Emergency Services",
    "under": "california",
}
SEEN = {
    "metric": "solved", "value": 0.125, "low": 0.0625, "high": 0.25, "n": 40, "source": "a <b>pilot</b>",
    "period": ["2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z"],
}  # fmt: skip


def live(turned: Path, folder: Path) -> Path:
    """The workspace, with a checkpoint over all that was done."""
    lab = copy_of(turned, folder / "lab")
    _looked_at(lab.root)
    with Desk(lab, nobody) as desk:
        answer_all(desk, [_given(field, text) for field, text in SAID.items()], "owner")
        answer_all(desk, [_given("policy.framework", "The second framework.")], "owner")
        halt(desk, "a smell of smoke")
        freeze(desk, "a leak")
    for action in ("resume", "unfreeze"):
        executed(lab, action)
    executed(lab, "promote", {"cycle": "c0001"})
    rollback(lab, "c0000", "it was <i>worse</i>")
    _enveloped(lab)
    _recalled(lab)
    with Desk(lab, nobody) as desk:
        _incidents(desk)
        _observed(desk, folder)
        _asked(desk)
        _hands(desk)
        desk.cover()
    return lab.root


def _given(field: str, text: str) -> Given:
    return Given(field=field, document="profile", state="statement", text=text)


def _looked_at(root: Path) -> None:
    """Lines of an hour that is long over: whoever writes the record next anchors them."""
    (root / ".loopwright/access").mkdir(exist_ok=True)
    for hour, lines in (("2026-01-01T00", 3), ("2026-01-01T01", 2)):
        (root / f".loopwright/access/{hour}.jsonl").write_text('{"action":"show"}\n' * lines)


def _enveloped(lab: Workspace) -> None:
    told = yaml.safe_load(draft_of(lab))
    told["envelope"]["may_change"] = {"generator.temperature": {"low": 0.5, "high": 1.0}, "recipe.batch": {"values": [8, 16]}}
    (lab.root / "envelope.yaml").unlink()  # a link to the shared workspace's
    (lab.root / "envelope.yaml").write_text(yaml.safe_dump(told), encoding="utf-8")
    subprocess.run(["git", "commit", "-qam", "an envelope"], cwd=lab.root, check=True)
    executed(lab, "envelope", {"path": "envelope.yaml"})


def _recalled(lab: Workspace) -> None:
    graph = read_graph(lab)
    recall(lab, affected(lab.root, graph, targets.artifact(graph, "cycles/c0001/accepted")), "poisoned")


def _incidents(desk: Desk) -> None:
    near = open_incident(desk, {"kind": "art73", "aware_at": "2026-01-02T10:00:00Z", "near_miss": True})
    close_incident(desk, near, {"resolved_at": "2026-01-03T00:00:00Z"})
    name = open_incident(desk, TOLD)
    freeze(desk, "keep what led to it", incident=name)
    update_incident(desk, name, MORE)
    update_incident(desk, name, {"report": OF_CALIFORNIA})


def _observed(desk: Desk, folder: Path) -> None:
    for cycle, more in (("c0001", {"laboratory": "headline"}), ("c0002", {"source": "another"})):
        (folder / f"{cycle}.yaml").write_text(yaml.safe_dump({"model": cycle, **SEEN, **more}))
        observe(desk, folder / f"{cycle}.yaml")


def _asked(desk: Desk) -> None:
    """One request that a person refuses, and one that was planted."""
    halt(desk, "again")
    said = desk.consent.state().acts.requests
    vetoed = desk.ask("resume", {}, "operator")
    planted = desk.consent._ask(_resume(desk, desk.consent.state()), (), None, "canary")
    assert not {vetoed, planted} & said.keys()
    said = desk.consent.state().acts.requests
    desk.opened(said[planted])
    desk.answer(said[planted], approves=False, name="owner", reason="planted")
    desk.answer(said[vetoed], approves=True, name="owner", reason="why not")
    desk.answer(said[vetoed], approves=False, name="safety", reason="no")
    desk.consent.reveal()


def _resume(desk: Desk, state: LoopState) -> object:
    return describe(desk.root, desk.consent.plan, state, "resume")


def _hands(desk: Desk) -> None:
    """A person's new key, of which nothing is kept here; an agent, who is sent away again."""
    rotate(desk, "safety", lambda _: Key(public=public_bytes(Ed25519PrivateKey.generate()), custody="passphrase"), None)
    revoke(desk, enrol_agent(desk, "helper", "owner", "sha256:" + "ab" * 32, None), None, "left", None)
