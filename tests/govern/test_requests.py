"""Requests and the executor: what is shown is what is signed, nothing without signatures, once, and only as it was stored."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from app.counter import digest_of, waiting
from app.views import overview
from app.words import Words
from loopwright.alerts import look
from loopwright.cli import app
from loopwright.consent import Consent, describe, desk
from loopwright.consent.waiting import alive
from loopwright.errors import IntegrityError, RefusedError, UsageError, WaitingForPerson
from loopwright.govern.requests import Desk
from loopwright.govern.status import status_of
from loopwright.govern.trust import trust
from loopwright.index import Index
from loopwright.ledger.acts import Request
from loopwright.ledger.audit import audit
from loopwright.ledger.keys import key_folder
from loopwright.ledger.quorum import Standing
from loopwright.ledger.statement import payload_of, seal, unseal
from loopwright.types import Artifact, digest_bytes
from loopwright.workspace import Workspace, create, set_plan
from tests.ledger.workshop import closing, opening, working


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demonstration with two proposed recipes and nothing turned."""
    root = tmp_path_factory.mktemp("template") / "lab"
    create(root, overrides={"name": "lab"}, demo=True)
    for name in ("longer", "other"):
        (root / "recipes" / f"{name}.diff").write_text(f"a diff: {name}\n", encoding="utf-8")
    return root


@pytest.fixture
def lab(template: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(template, tmp_path / "lab")
    return Workspace(root=tmp_path / "lab")


def no_terminal(what: str) -> bytes:
    raise UsageError(f"asked for the {what}")


@pytest.fixture
def people(lab: Workspace) -> Iterator[Desk]:
    with Desk(lab, no_terminal) as opened:
        yield opened


def proposed(people: Desk, name: str = "longer") -> Request:
    made = people.ask("recipe", {"path": f"recipes/{name}.diff"}, None)
    return people.consent.state().acts.requests[made]


def status(people: Desk, request: Request) -> str:
    state = people.consent.state()
    return people.consent.standing(state.acts.requests[request.id], state).status


def agree(people: Desk, request: Request, name: str = "owner", *, approves: bool = True) -> int:
    return people.answer(request, approves=approves, name=name, reason="")


def test_what_is_shown_is_what_is_signed(people: Desk) -> None:
    """Every value of the signed bytes is shown, nothing besides, and the answer names their digest."""
    asked = proposed(people)
    shown = people.show(asked, people.consent.state())
    assert digest_bytes(shown.payload) == shown.id == asked.id
    rebuilt: dict[str, Any] = {}
    for name, value in shown.fields():
        at: Any = rebuilt
        parts = name.replace("[", ".[").split(".")
        for part in parts[:-1]:
            at = at.setdefault(part, {})
        at[parts[-1]] = json.loads(value)

    def lists(value: Any) -> Any:
        if isinstance(value, dict) and value and all(key.startswith("[") for key in value):
            return [lists(item) for item in value.values()]
        return {key: lists(item) for key, item in value.items()} if isinstance(value, dict) else value

    assert lists(rebuilt) == json.loads(shown.payload)
    index = agree(people, asked)
    entry = unseal(people.ledger.entries()[index])
    assert json.loads(entry.payload)["predicate"]["request"] == digest_bytes(shown.payload)


def test_a_request_is_carried_out_once_as_it_was_stored(people: Desk) -> None:
    asked = proposed(people)
    with pytest.raises(RefusedError, match="1 more person"):
        people.consent.carry_out(asked.id)
    with pytest.raises(RefusedError, match="operator signed the request|operator proposed it"):
        agree(people, asked, "operator")
    approval = agree(people, asked)
    assert agree(people, asked) == approval, "said again it is the same entry"
    done = people.consent.carry_out(asked.id)
    assert people.consent.carry_out(asked.id) == done
    executes = [one for one in people.ledger.statements() if one.kind == "execute"]
    assert [(one.index, one.predicate["request"], one.predicate["approvals"]) for one in executes] == [
        (done, asked.id, [approval])
    ]
    assert status(people, asked) == "executed"
    with pytest.raises(UsageError, match="is executed"):
        agree(people, asked, "safety")
    with pytest.raises(UsageError, match="no request"):
        people.consent.carry_out(digest_bytes(b"another"))


def test_a_changed_byte_on_disk_voids(people: Desk) -> None:
    asked = proposed(people)
    agree(people, asked)
    (people.root / "recipes" / "longer.diff").write_text("another diff\n", encoding="utf-8")
    assert status(people, asked) == "void"
    with pytest.raises(RefusedError, match="what it is about has changed"):
        people.consent.carry_out(asked.id)
    (people.root / "recipes" / "longer.diff").unlink()
    assert status(people, asked) == "void"


def test_status_alerts_digest_and_pages_count_the_same_requests(people: Desk) -> None:
    """One that is void, vetoed, carried out or a revealed plant waits for nobody, wherever it is asked."""
    waits, void, vetoed, granted = (proposed(people, name) for name in ("longer", "other", "longer", "longer"))
    agree(people, vetoed, approves=False)
    agree(people, granted)
    (people.root / "recipes" / "other.diff").write_text("another diff\n", encoding="utf-8")
    workspace, plan = Workspace(root=people.root), people.consent.plan
    with Index.open(people.root) as index:
        state = index.near()
        view = overview.read(index, SimpleNamespace(root=people.root, words=Words("overview", "en")))
        told = digest_of(index, people.root, plan, state)
    expected = [waits.id, granted.id]
    assert [one["request"] for one in status_of(workspace)["requests"]] == expected
    assert [one.request.id for one in look(people.root, plan, inspect=False).waiting] == expected
    assert [one["request"] for one in waiting(people.root, plan, state)] == expected
    assert [one["id"] for one in view.waiting] == expected[::-1], "newest first"
    assert [name[7:19] in told for name in (waits.id, void.id, vetoed.id)] == [True, False, False]
    kept = [replace(state.acts.requests[waits.id], canary="salt"), replace(state.acts.requests[waits.id], executed=9)]
    assert alive(kept, lambda _: Standing(status="granted", reasons=()), "") == ()


def test_a_veto_is_final_and_a_new_request_needs_new_answers(people: Desk) -> None:
    asked = proposed(people)
    agree(people, asked)
    agree(people, asked, "safety", approves=False)
    assert status(people, asked) == "vetoed"
    with pytest.raises(RefusedError, match="vetoed"):
        people.consent.carry_out(asked.id)
    assert status(people, proposed(people)) == "open"


def test_a_weaker_plan_on_disk_voids_before_the_first_cycle(people: Desk) -> None:
    asked = proposed(people)
    agree(people, asked)
    set_plan(people.root, {"gate.alpha": 0.4})
    weaker = Consent(root=people.root, plan=Workspace(root=people.root).plan(), ledger=people.ledger)
    with pytest.raises(RefusedError, match="policy has changed"):
        weaker.carry_out(asked.id)


def test_a_plan_that_asks_for_fewer_persons_is_weighed_by_the_rules_that_it_would_replace(people: Desk) -> None:
    plan = people.consent.plan
    rules = {"policy": plan.policy, "approvals": plan.approvals.model_dump(mode="json")}
    people.ledger.append("open", [], opening("c0000", **rules), role="controller", event="open:c0000")
    people.ledger.append("close", [], closing("c0000"), role="controller", event="close:c0000")
    set_plan(people.root, {"approvals": {"strict": {"persons": 1}}})
    weaker = Consent(root=people.root, plan=Workspace(root=people.root).plan(), ledger=people.ledger)
    assert weaker.plan.approvals.strict.persons == 1
    ask = describe(people.root, weaker.plan, weaker.state(), "policy")
    asked, found = weaker.requested(ask, ())
    assert (asked.said["policy"], asked.said["quorum"]["persons"], found.missing) == (plan.policy, 2, ("2 more persons",))
    with Desk(Workspace(root=people.root), no_terminal) as now_here:
        agree(now_here, asked)
    assert weaker.standing(weaker.state().acts.requests[asked.id], weaker.state()).missing == ("1 more person",)


# ------------------------------------------------------------------------------------------------ forged


def forge(people: Desk, said: dict[str, Any], keyid: str, signature: bytes, about: tuple[Artifact, ...]) -> int:
    """Put an entry into the log past `Ledger.append`, as somebody who can write the database could."""
    said = {"answered_at": desk.now(), **said, "event": f"forged:{people.ledger.size}"}
    entry = seal(payload_of("approval", about, said), keyid, signature)
    with people.ledger._storage.transaction() as snapshot:
        index = snapshot.append([(said["event"], entry)])
    people.ledger.publish()
    return index


def test_a_user_interface_without_a_key_cannot_answer(people: Desk) -> None:
    asked = proposed(people)
    said = {"request": asked.id, "answer": "approve", "answered_at": desk.now()}
    for role in ("controller", "gate", "generator"):
        with pytest.raises(RefusedError, match="may not sign approval"):
            people.ledger.append("approval", asked.subjects, said, role=role, event="forged")
    with pytest.raises(UsageError, match="no principal"):
        people.ledger.append("approval", asked.subjects, said, role="ui", event="forged")
    with pytest.raises(UsageError, match="mallory is not enrolled"):
        agree(people, asked, "mallory")
    assert status(people, asked) == "open"


@pytest.mark.parametrize("signature", [b"", bytes(64), None])
def test_an_answer_with_a_signature_that_is_none_carries_nothing_out(people: Desk, signature: bytes | None) -> None:
    asked, other = proposed(people), proposed(people, "other")
    if signature is None:  # a real one, of the same person under another request
        index = agree(people, other)
        signature = unseal(people.ledger.entries()[index]).signature
    owner = next(one.id for one in people.consent.state().roster.current("person") if "owner" in one.duties)
    index = forge(people, {"request": asked.id, "answer": "approve"}, owner, signature, asked.subjects)
    assert status(people, asked) == "granted", "a fold believes what it reads"
    with pytest.raises(IntegrityError, match=f"entry {index} is not what {owner} signed"):
        people.consent.carry_out(asked.id)
    assert people.consent.state().acts.requests[asked.id].executed is None
    assert {found.code for found in audit(people.root / "ledger").findings} == {"signature-invalid"}


def test_an_approval_cannot_be_taken_into_another_workspace(people: Desk, lab: Workspace, tmp_path: Path) -> None:
    """Same keys, same files, another log: request and approval are copied, and void there."""
    asked = proposed(people)
    agree(people, asked)
    before = people.ledger.entries()
    other = create(tmp_path / "other", overrides={"name": "lab"}, demo=True)
    shutil.copyfile(people.root / "recipes/longer.diff", other.root / "recipes/longer.diff")
    with Desk(other, no_terminal) as there:
        with there.ledger._storage.transaction() as snapshot:
            snapshot.append([("one", before[1]), ("two", before[2])])
        state = there.consent.state()
        found = there.consent.standing(state.acts.requests[asked.id], state)
        assert found.status == "void"
        assert "another workspace" in found.reasons[0]
        with pytest.raises(RefusedError, match="another workspace"):
            there.consent.carry_out(asked.id)
        there.ledger.publish()
        assert "signer-unknown" in {finding.code for finding in audit(other.root / "ledger").findings}


def test_a_request_that_was_made_in_another_history_is_refused(people: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people.ledger, "head", lambda: (1, bytes(32)))
    asked = proposed(people)
    monkeypatch.undo()
    agree(people, asked)
    with pytest.raises(IntegrityError, match="in another log"):
        people.consent.carry_out(asked.id)


@pytest.mark.parametrize("years", [-1, 1])
def test_an_executor_whose_clock_is_a_year_off_denies(people: Desk, monkeypatch: pytest.MonkeyPatch, years: int) -> None:
    asked = proposed(people)
    agree(people, asked)
    right = desk.now()
    monkeypatch.setattr(desk, "now", lambda: f"{int(right[:4]) + years}{right[4:]}")
    with pytest.raises(RefusedError, match="clock|had to be carried out"):
        people.consent.carry_out(asked.id)
    monkeypatch.undo()
    assert people.consent.carry_out(asked.id)


# ------------------------------------------------------------------------------------------------ a run asks


def test_a_run_asks_once_waits_and_goes_on(people: Desk) -> None:
    consent = people.consent
    operator = next(one.id for one in consent.state().roster.current("person") if "operator" in one.duties)
    ask = describe(people.root, consent.plan, consent.state(), "policy")
    for lacks in ("2 more persons", "1 more person"):
        with pytest.raises(WaitingForPerson, match=f"the policy changed; .*lacks {lacks}") as waiting:
            consent.obtain(ask, (operator,), "the policy changed")
        [asked] = consent.state().acts.requests.values()
        assert f"loopwright approve {asked.id[7:19]}" in waiting.value.next_step
        with pytest.raises(RefusedError, match="launched the run"):
            agree(people, asked, "operator")
        agree(people, asked, "owner" if lacks.startswith("2") else "safety")
    done = consent.obtain(ask, (operator,), "")
    assert consent.obtain(ask, (operator,), "") == done
    assert [one.kind for one in people.ledger.statements()].count("execute") == 1


def test_a_planted_request_is_told_apart_only_after_it_was_answered_and_never_carried_out(people: Desk) -> None:
    consent = people.consent
    ask = describe(people.root, consent.plan, consent.state(), "resume")
    planted, real = (consent._ask(ask, (), None, word) for word in ("canary", "real"))
    requests = consent.state().acts.requests
    assert requests[planted].said.keys() == requests[real].said.keys()
    assert len(requests[planted].said["commitment"]) == len(requests[real].said["commitment"])
    assert consent.reveal() == []
    people.opened(requests[planted])
    agree(people, requests[planted])
    agree(people, requests[real], "safety")
    with pytest.raises(RefusedError, match="cannot be opened as a real one"):
        consent.carry_out(planted)
    assert consent.reveal() == [planted]
    assert consent.reveal() == []
    assert consent.carry_out(real)
    owner, safety = trust(consent.state(), people.root)["persons"]
    assert (owner["name"], owner["note"]) == ("owner", "demonstration key, not a person")
    assert (owner["caught"]["value"], owner["caught"]["n"], owner["without_opening"], owner["seconds_n"]) == (0.0, 1, 0, 1)
    assert (safety["caught"], safety["approved"]["value"], safety["without_opening"]) == (None, 1.0, 1)
    for path in (people.root / ".loopwright/commitments").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


def test_beside_a_request_that_waits_a_bad_one_is_planted_as_often_as_the_policy_says(people: Desk) -> None:
    """What the gate rejected, asked to be promoted, on its own true evidence."""
    told = people.consent.plan.approvals.model_dump(mode="json")
    for share, wanted in ((0.0, 1), (1.0, 3)):
        cycle = f"c000{int(share)}"
        rules = {"policy": people.consent.plan.policy, "approvals": {**told, "canaries": share}}
        people.ledger.append("open", [], opening(cycle, **rules), role="controller", event=f"open:{cycle}")
        model = [Artifact(kind="model", digest=digest_bytes(cycle.encode()), path=f"cycles/{cycle}/model")]
        trained = working(cycle, "train", digest_bytes(b""), model, {})
        people.ledger.append("phase", model, trained, role="trainer", event=f"train:{cycle}")
        closed = closing(cycle, action="reject", champion="c0000")
        people.ledger.append("close", [], closed, role="controller", event=f"close:{cycle}")
        ask = describe(people.root, people.consent.plan, people.consent.state(), "judge")
        people.consent.requested(ask, ())
        assert len(people.consent.state().acts.requests) == wanted
    planted = list(people.consent.state().acts.requests.values())[-1]
    assert (planted.action, planted.subjects[0].kind, planted.said["by"]) == ("promote", "model", "run")
    agree(people, planted, approves=False)
    assert people.consent.reveal() == [planted.id]
    [owner] = trust(people.consent.state(), people.root)["persons"]
    assert (owner["planted"], owner["caught"]["value"], owner["approved"]) == (1, 1.0, None)


def test_a_run_whose_salt_is_lost_asks_anew(people: Desk) -> None:
    ask = describe(people.root, people.consent.plan, people.consent.state(), "resume")
    asked, _ = people.consent.requested(ask, ())
    agree(people, asked)
    shutil.rmtree(people.root / ".loopwright/commitments")
    again, found = people.consent.requested(ask, ())
    assert (again.id != asked.id, found.status) == (True, "open")


def test_what_is_asked_must_be_there(people: Desk) -> None:
    with pytest.raises(UsageError, match="nothing to recipe"):
        people.ask("recipe", {"path": "recipes/none-such.diff"}, None)
    (people.root.parent / "outside.diff").write_text("not ours", encoding="utf-8")
    with pytest.raises(UsageError, match="nothing to recipe"):
        people.ask("recipe", {"path": "../outside.diff"}, None)
    asked = proposed(people)
    state = people.consent.state()
    for name in (asked.id, asked.id[7:19], "recipes/longer.diff", asked.subjects[0].digest):
        assert people.find(state, name).id == asked.id
    with pytest.raises(UsageError, match="no request is about"):
        people.find(state, "recipes/other.diff")


@pytest.mark.parametrize(("action", "kind", "signers"), [("resume", "halt", 1), ("unfreeze", "freeze", 2)])
def test_what_one_person_stopped_several_let_go_on(people: Desk, action: str, kind: str, signers: int) -> None:
    def typed(*words: str) -> int:
        done = CliRunner().invoke(app, [*words, "--workspace", str(people.root)])
        return getattr(done.exception, "exit_code", done.exit_code)

    assert typed(action) == 2, "nothing stands"
    said = {"reason": "smoke", "halted_at" if kind == "halt" else "frozen_at": desk.now()}
    people.ledger.append(kind, [], said, role="person", event="one")
    for _ in range(signers):
        assert typed(action) == 4
        assert typed("approve", next(iter(people.consent.state().acts.requests))) == 0
    assert typed(action) == 0
    acts = people.consent.state().acts
    assert (acts.halts, acts.freezes, len(acts.requests)) == ((), (), 1)


def test_a_halt_that_came_after_the_question_is_not_lifted_by_its_answer(people: Desk) -> None:
    for number in (1, 2):
        people.ledger.append("halt", [], {"reason": "-", "halted_at": desk.now()}, role="person", event=f"halt:{number}")
        asked, found = people.lift("resume", {}, None)
        assert found.status == "open"
        agree(people, asked)
        if number == 1:
            first = asked
    assert (status(people, first), status(people, asked)) == ("void", "granted")
    assert people.consent.carry_out_granted("resume") == [people.ledger.size - 1]
    assert people.consent.state().acts.halts == ()


def test_the_keys_of_a_demonstration_lie_in_the_account(people: Desk) -> None:
    folder = key_folder(people.ledger.workspace)
    assert {path.name for path in folder.glob("person*.key")} == {"person.key", "person.owner.key", "person.safety.key"}
