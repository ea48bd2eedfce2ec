"""Where the loop stands, by the statements alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import NoEncryption

from loopwright.errors import IntegrityError
from loopwright.ledger import Ledger
from loopwright.ledger.audit import audit
from loopwright.ledger.fold import LoopState, fold
from loopwright.ledger.history import past
from loopwright.ledger.independence import who_checks
from loopwright.ledger.keys import key_path, load_key, public_bytes, write_key
from loopwright.ledger.principals import enrolment, principal_id
from loopwright.ledger.signer import LocalSigner
from loopwright.ledger.statement import MAX_ENVELOPE, Statement, pae, payload_of, seal
from loopwright.types import Artifact, cycle_name
from tests.ledger.workshop import OUTPUTS, ROLES, TIME, Workshop, closing, digest, opening, working

CYCLE = ("generate", "verify", "merge", "train", "evaluate", "decide")


def state_of(workshop: Workshop) -> LoopState:
    return fold(workshop.ledger.statements())


def test_a_new_loop(workshop: Workshop) -> None:
    state = state_of(workshop)
    assert (state.workspace, state.name, state.demo, state.leaves) == ("bench", "bench", True, 1)
    assert (state.champion, state.last, state.open, dict(state.cycles), dict(state.finished)) == (None, None, None, {}, {})
    assert state.genesis["plan"] == digest("plan")


def test_an_open_cycle(workshop: Workshop) -> None:
    workshop.open()
    workshop.phase("c0000", "seed", {"human_rows": 7}, seconds=2.5)
    state = state_of(workshop)
    record = state.cycles["c0000"]
    assert (state.open, state.last, state.champion) == ("c0000", None, None)
    assert (record.parent, record.prev, record.seed, record.opened_at, record.closed_at) == (None, None, 7, TIME, None)
    assert (record.action, record.reasons, record.champion_after, record.recipe) == (None, (), None, None)
    assert record.pins == {"generator": digest("generator"), "judge": digest("judge"), "lock": digest("lock")}
    seed = record.phases["seed"]
    assert (seed.summary, seed.seconds, seed.index, seed.attempt) == ({"human_rows": 7}, 2.5, 2, 1)
    assert [one.kind for one in seed.artifacts] == list(OUTPUTS["seed"])
    assert dict(record.seconds) == {"seed": 2.5}
    assert record.artifact("archive") == seed.artifacts[3]
    assert record.artifact("model") is None
    assert state.finished == {seed.key: seed}


def test_a_promotion_a_rejection_and_a_rollback(workshop: Workshop) -> None:
    workshop.cycle("c0000")
    workshop.cycle("c0001", CYCLE, parent="c0000", prev="c0000")
    workshop.open("c0002", parent="c0001", prev="c0001")
    workshop.phase("c0002", "decide", {"action": "reject", "reasons": ["no gain", "few rows"]})
    assert (state_of(workshop).cycles["c0002"].action, state_of(workshop).champion) == ("reject", "c0001")
    workshop.close("c0002", action="reject", champion="c0001")
    state = state_of(workshop)
    assert (state.champion, state.last, state.open, list(state.cycles)) == ("c0001", "c0002", None, ["c0000", "c0001", "c0002"])
    assert state.cycles["c0002"].reasons == ("no gain", "few rows")
    assert state.cycles["c0002"].champion_after == "c0001"
    workshop.ledger.append("rollback", [], {"cycle": "c0000", "reason": "worse"}, role="controller", event="rollback:1")
    assert (state_of(workshop).champion, state_of(workshop).last) == ("c0000", "c0002")


def test_an_abandoned_cycle_is_closed_and_nothing_follows_it(workshop: Workshop) -> None:
    workshop.cycle("c0000")
    workshop.open("c0001", parent="c0000", prev="c0000")
    said = {**closing("c0001", action="reject", champion="c0000"), "abandoned": "out of money"}
    workshop.ledger.append("close", [], said, role="controller", event="close:c0001")
    state = state_of(workshop)
    assert (state.open, state.last, state.champion, state.cycles["c0001"].closed_at) == (None, "c0000", "c0000", TIME)


def test_failures_are_kept_and_are_no_finished_phase(workshop: Workshop) -> None:
    workshop.open()
    said = {"cycle": "c0000", "phase": "train", "key": "k", "attempt": 1, "error": "InfraError", "message": "no memory"}
    failed = {**said, "started_at": TIME, "failed_at": TIME}
    workshop.ledger.append("failure", [], failed, role="controller", event="k:1:failed")
    workshop.phase("c0000", "train", attempt=2)
    state = state_of(workshop)
    [failure] = state.cycles["c0000"].failures
    assert {**failed, "event": "k:1:failed"} == failure
    assert state.cycles["c0000"].phases["train"].attempt == 2
    assert "k" not in state.finished


def test_a_second_attempt_replaces_the_first(workshop: Workshop) -> None:
    workshop.open()
    workshop.phase("c0000", "train", {"try": 1})
    workshop.phase("c0000", "evaluate")
    workshop.phase("c0000", "train", {"try": 2}, attempt=2)
    record = state_of(workshop).cycles["c0000"]
    assert (list(record.phases), record.phases["train"].summary) == (["evaluate", "train"], {"try": 2})


def test_one_more_phase_needs_no_new_fold(workshop: Workshop) -> None:
    workshop.open()
    state = state_of(workshop)
    for phase in ("train", "evaluate", "decide"):
        workshop.phase("c0000", phase, {"action": "promote", "reasons": ["better"]} if phase == "decide" else {})
        folded = state_of(workshop)
        state = state.with_phase("c0000", folded.cycles["c0000"].phases[phase])
        assert state == folded


def test_approvals_are_found_by_what_was_approved(workshop: Workshop) -> None:
    recipe = Artifact(kind="recipe", digest=digest("recipe"), path="recipes/a.diff")
    for number in (1, 2):
        workshop.ledger.append("approval", [recipe], {}, role="person", event=f"approval:{number}")
    assert dict(state_of(workshop).approvals) == {digest("recipe"): 2}


def test_kinds_of_later_versions_are_passed_over(workshop: Workshop) -> None:
    workshop.open()
    strange = Statement(index=2, kind="omen", subjects=(), predicate={"event": "e"}, keyid="")
    assert fold([*workshop.ledger.statements(), strange]).open == "c0000"


@pytest.mark.parametrize("kind", ["phase", "close", "failure"])
def test_a_contradiction_is_named_by_its_entry(workshop: Workshop, kind: str) -> None:
    lost = Statement(index=1, kind=kind, subjects=(), predicate={"event": "e", "cycle": "c0009"}, keyid="")
    with pytest.raises(IntegrityError, match=f"entry 1 of the ledger .{kind}."):
        fold([*workshop.ledger.statements(), lost])
    with pytest.raises(IntegrityError, match="does not begin with a genesis"):
        fold([])


def long_past(workshop: Workshop, cycles: int) -> None:
    """Cycles of 8 entries with summaries of real size, in one transaction: appending each would wait for the disk."""
    score = {"value": 0.512345, "low": 0.41234, "high": 0.6123, "n": 400, "method": "wilson 95%"}
    suite = {"all": score, "headline": score, "levels": {str(level): score for level in range(2, 9)}}
    summaries: dict[str, dict[str, Any]] = {
        "evaluate": {"gate": suite, "sealed": suite, "pass_at": None, "tokens": 1000, "reused": False},
        "decide": {"action": "promote", "reasons": ["better"], "gain": score},
    }
    keys = {role: load_key(key_path(workshop.keys / "bench", role)) for role in set(ROLES.values())}
    entries: list[tuple[str, bytes]] = []

    def say(kind: str, predicate: dict[str, Any], role: str) -> None:
        event = f"e{len(entries)}"
        payload = payload_of(kind, [], {**predicate, "event": event})
        entries.append((event, seal(payload, principal_id(public_bytes(keys[role])), keys[role].sign(pae(payload)))))

    for number in range(cycles):
        name, before = cycle_name(number), cycle_name(number - 1) if number else None
        say("open", opening(name, parent=before, prev=before), "controller")
        for phase in CYCLE:
            [kind] = OUTPUTS[phase]
            made = [Artifact(kind=kind, digest=digest(name, kind), path=f"cycles/{name}/{kind}")]
            say("phase", working(name, phase, digest("config"), made, summaries.get(phase, {"rows": number})), ROLES[phase])
        say("close", closing(name), "controller")
    with workshop.ledger._storage.transaction() as snapshot:
        snapshot.append(entries)


def test_a_past_comes_into_a_fork_as_it_was(workshop: Workshop, tmp_path: Path) -> None:
    long_past(workshop, 40)
    origin = state_of(workshop)
    fork = Workshop(tmp_path / "fork", tmp_path / "forkkeys")
    said = list(past(origin, "c0029"))
    for number, predicate in enumerate(said):
        fork.ledger.append("import", [], predicate, role="controller", event=f"import:{number}")
    assert len(said) > 3  # an entry holds no more than MAX_ENVELOPE bytes
    with fork.ledger._storage.transaction() as snapshot:
        assert max(len(entry) for entry in snapshot.envelopes(0, 99)) <= MAX_ENVELOPE
    state = state_of(fork)
    assert (state.champion, state.last, state.open, list(state.cycles)) == (
        "c0029",
        "c0029",
        None,
        [f"c{at:04d}" for at in range(30)],
    )
    for name, record in state.cycles.items():
        was = origin.cycles[name]
        assert (record.seed, record.pins, record.action, record.reasons) == (was.seed, was.pins, was.action, was.reasons)
        assert (record.artifact("model"), record.champion_after) == (was.artifact("model"), was.champion_after)
        assert [done.summary for done in record.phases.values()] == [done.summary for done in was.phases.values()]
    assert not state.finished  # another workspace's keys are no work of this one
    fork.open("c0030", parent="c0029", prev="c0029")
    assert state_of(fork).open == "c0030"
    fork.ledger.close()
    with pytest.raises(KeyError):
        list(past(origin, "c9999"))


@pytest.mark.slow
def test_five_hundred_cycles_are_read_and_folded(workshop: Workshop) -> None:
    """As many as the bar of `status` is about; how long it takes is a benchmark's business."""
    long_past(workshop, 500)
    ledger = Ledger.open(workshop.root, workshop.keys, signer=LocalSigner)
    state = fold(ledger.statements())
    assert (state.leaves, len(state.cycles)) == (4001, 500)
    ledger.close()


def test_who_checks_names_the_key_that_was_in_force(workshop: Workshop) -> None:
    """The verifier's key is rotated between two cycles: what the old one signed stays its own."""
    phases = ("generate", "verify", "decide")
    workshop.cycle(phases=phases)
    [old] = state_of(workshop).roster.current("verifier")
    new = Ed25519PrivateKey.generate()
    entry = enrolment("verifier", public_bytes(new), old.custody, demo=True)
    said = {"old": old.id, "principal": entry, "rotated_at": TIME}
    workshop.ledger.append("rotate", [], said, role="person", event="rotate")
    write_key(key_path(workshop.keys / "bench", "verifier"), new, NoEncryption())
    workshop.again()
    workshop.cycle("c0001", phases=phases, parent="c0000", prev="c0000")
    state = state_of(workshop)
    told = [{link["phase"]: link for link in who_checks(state, state.cycles[cycle])} for cycle in ("c0000", "c0001")]
    assert [each["generate"]["checker"] for each in told] == [
        f"verifier {old.id} (service)",
        f"verifier {entry['id']} (service)",
    ]
    assert [each["verify"]["maker"] for each in told] == [each["generate"]["checker"] for each in told]
    assert audit(workshop.published).findings == ()
