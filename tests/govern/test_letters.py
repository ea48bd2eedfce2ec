"""Letters: what is signed where the key is comes in once, as it was shown, from whom it says, while it still matters."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from loopwright.cli import app
from loopwright.clock import rfc3339
from loopwright.consent import desk as consents
from loopwright.errors import LoopwrightError, RefusedError, UsageError
from loopwright.govern import enrolment, intake
from loopwright.govern.digest import digest
from loopwright.govern.intake import take
from loopwright.govern.letters import Letter, answer_letter, ask_letter, read_letter, sign, stop_letter
from loopwright.govern.requests import Desk
from loopwright.govern.status import status_of
from loopwright.ledger.hands import KeyHand
from loopwright.ledger.principals import principal_id
from loopwright.ledger.statement import pae, payload_of, read_payload, seal, unseal
from loopwright.ledger.verify import verify
from loopwright.types import digest_bytes
from loopwright.workspace import Workspace, create
from tests.govern.record import nobody

ANNA = KeyHand(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
"""A key that no file of this account holds, as a browser's."""
KEY = principal_id(ANNA.public_key)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demonstration in which two recipes are proposed, and Anna is enrolled with the key of her browser."""
    root = tmp_path_factory.mktemp("template") / "lab"
    lab = create(root, overrides={"name": "lab"}, demo=True)
    for name in ("longer", "other"):
        (root / "recipes" / f"{name}.diff").write_text(f"a diff: {name}\n", encoding="utf-8")
    with Desk(lab, nobody) as desk:
        enrolment.enrol(desk, "anna", ["safety"], enrolment.Key(public=ANNA.public_key, custody="browser"), "owner")
        for name in ("longer", "other"):
            desk.ask("recipe", {"path": f"recipes/{name}.diff"}, "operator")
    return root


@pytest.fixture
def desk(template: Path, tmp_path: Path) -> Iterator[Desk]:
    shutil.copytree(template, tmp_path / "lab")
    with Desk(Workspace(root=tmp_path / "lab"), nobody) as opened:
        yield opened


def drafted(desk: Desk, which: int = 0, key: str = KEY, *, approves: bool = True) -> Letter:
    asked = list(desk.consent.state().acts.requests.values())[which]
    return answer_letter(desk, asked, key, approves=approves, reason="seen", opened_at=None)


def changed(data: bytes, hand: KeyHand | None = ANNA, keyid: str | None = None, **said: Any) -> bytes:
    """The letter with other words in it: signed again by this hand, or with the old signature."""
    envelope = unseal(data)
    kind, subjects, before = read_payload(envelope.payload)
    payload = payload_of(kind, subjects, {**before, **said})
    return seal(payload, keyid or envelope.keyid, hand.sign(pae(payload)) if hand else envelope.signature)


def test_an_answer_that_was_signed_elsewhere_grants_like_one_that_is_typed_here(desk: Desk) -> None:
    letter = drafted(desk)
    assert letter.about
    assert digest_bytes(letter.about) == json.loads(dict(letter.fields())["predicate.request"])
    carried = read_letter(letter.as_json())
    assert carried == letter
    taken = take(desk, sign(carried, ANNA), letter)
    state = desk.consent.state()
    asked = state.acts.requests[str(taken.request)]
    assert desk.consent.standing(asked, state).status == "granted"
    assert [(one.key, one.index, one.said["reason"]) for one in asked.answers] == [(KEY, taken.index, "seen")]
    assert desk.consent.carry_out(asked.id) == taken.index + 1
    assert verify(desk.root).ok


def other_key(desk: Desk) -> bytes:
    return changed(sign(drafted(desk), ANNA), KeyHand(Ed25519PrivateKey.generate()))


def stranger(desk: Desk) -> bytes:
    hand = KeyHand(Ed25519PrivateKey.generate())
    return sign(drafted(desk, key=principal_id(hand.public_key)), hand)


def driver(desk: Desk) -> bytes:
    controller = desk.consent.state().roster.current("controller")[0]
    return changed(sign(drafted(desk), ANNA), None, controller.id)


def other_request(desk: Desk) -> bytes:
    """Her signature under one request, put under another."""
    mine, other = unseal(sign(drafted(desk, 1), ANNA)), drafted(desk)
    return seal(other.payload, KEY, mine.signature)


def transferred(desk: Desk) -> bytes:
    return changed(sign(drafted(desk), ANNA), request=digest_bytes(b"a request of another workspace"))


def mine_under_her_name(desk: Desk) -> bytes:
    owner = next(one.id for one in desk.consent.state().roster.current("person") if "owner" in one.duties)
    return changed(sign(drafted(desk), ANNA), ANNA, owner)


def another_kind(_: Desk) -> bytes:
    who = {"id": "x", "role": "person", "kind": "person", "public_key": "", "custody": ""}
    said = payload_of("enrol", (), {"principal": who, "enrolled_at": later(), "event": "enrol:x"})
    return seal(said, KEY, ANNA.sign(pae(said)))


def later(**less: float) -> str:
    return rfc3339(datetime.now(UTC) - timedelta(**less))


FORGED: dict[str, tuple[Callable[[Desk], bytes], str]] = {
    "other bytes": (lambda desk: changed(sign(drafted(desk), ANNA), None, reason="another reason"), "is not that of key"),
    "no turned into yes": (lambda desk: changed(sign(drafted(desk, approves=False), ANNA), None, answer="approve"), "is not that of key"),
    "other key": (other_key, "is not that of key"),
    "other name": (mine_under_her_name, "is not that of key"),
    "stranger": (stranger, "no person's who is enrolled"),
    "a service": (driver, "no person's who is enrolled"),
    "other request": (other_request, "is not that of key"),
    "transferred": (transferred, "not in this record"),
    "more than was shown": (lambda desk: changed(sign(drafted(desk), ANNA), also="this"), "too much"),
    "other event": (lambda desk: changed(sign(drafted(desk), ANNA), event="open:c0007"), "another name"),
    "backdated": (lambda desk: changed(sign(drafted(desk), ANNA), answered_at=later(hours=1)), "by its own clock"),
    "from the future": (lambda desk: changed(sign(drafted(desk), ANNA), answered_at=later(hours=-1)), "by its own clock"),
    "no letter": (lambda _: b'{"payload": "e30="}', "no signed letter"),
    "another kind": (another_kind, "does not say 'enrol'"),
}  # fmt: skip


@pytest.mark.parametrize("how", FORGED)
def test_a_forged_altered_or_transferred_letter_is_refused_and_leaves_no_trace(desk: Desk, how: str) -> None:
    make, why = FORGED[how]
    before = desk.ledger.size
    with pytest.raises((RefusedError, UsageError), match=why):
        take(desk, make(desk))
    assert desk.ledger.size == before


def test_what_was_not_shown_is_refused_though_the_signature_is_good(desk: Desk) -> None:
    shown = drafted(desk)
    for other in (drafted(desk, approves=False), drafted(desk, 1)):
        with pytest.raises(RefusedError, match="not what was shown"):
            take(desk, sign(other, ANNA), shown)
    with pytest.raises(RefusedError, match="no answer to this request"):
        take(desk, sign(shown, ANNA), answers=list(desk.consent.state().acts.requests)[1])
    swapped = replace(shown, about=drafted(desk, 1).about)
    with pytest.raises(RefusedError, match="another request than the one"):
        read_letter(swapped.as_json())
    with pytest.raises(RefusedError, match="letter is for key"):
        sign(shown, KeyHand(Ed25519PrivateKey.generate()))


def test_a_letter_comes_in_once_and_not_after_the_request_or_the_key_has_ended(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = sign(drafted(desk), ANNA), sign(drafted(desk, 1), ANNA)
    index = take(desk, first).index
    with pytest.raises(RefusedError, match=f"is entry {index}"):
        take(desk, first)
    real = rfc3339(datetime.now(UTC) + timedelta(days=30))
    with monkeypatch.context() as patched:
        patched.setattr(consents, "now", lambda: real)
        patched.setattr(intake, "now", lambda: real)
        with pytest.raises(LoopwrightError, match="expired"):
            take(desk, second)
    enrolment.revoke(desk, KEY, None, "the laptop is gone", "owner")
    with pytest.raises(RefusedError, match="no person's who is enrolled"):
        take(desk, second)
    assert verify(desk.root).ok


def test_who_asked_may_not_approve_by_a_letter_either(desk: Desk) -> None:
    made = ask_letter(desk, desk.consent.state(), "recipe", KEY, {"path": "recipes/other.diff"})
    taken = take(desk, sign(made, ANNA), made)
    own = desk.consent.state().acts.requests[str(taken.request)]
    mine = answer_letter(desk, own, KEY, approves=True, reason="", opened_at=None)
    with pytest.raises(RefusedError, match="anna (signed the request|proposed it)"):
        take(desk, sign(mine, ANNA))


def test_halt_freeze_and_the_request_to_go_on_come_in_by_letter(desk: Desk) -> None:
    with pytest.raises(UsageError, match="nothing to resume"):
        ask_letter(desk, desk.consent.state(), "resume", KEY)
    halt = stop_letter(desk, "halt", KEY, "rewards look hacked")
    stopped = sign(halt, ANNA)
    for spoilt, why in (
        (changed(stopped, event="open:c0001"), "not its own"),
        (changed(stopped, event="halt:budget"), "not its own"),
        (changed(stopped, event=f"freeze:{'0' * 32}"), "not its own"),
        (changed(stopped, halted_at=later(days=9)), "by its own clock"),
        (changed(stopped, reason=" "), "reason is needed"),
        (changed(stopped, by="budget"), "may not sign|too much"),
    ):
        with pytest.raises(LoopwrightError, match=why):
            take(desk, spoilt)
    take(desk, stopped, halt)
    [standing] = desk.consent.state().acts.halts
    assert (standing.keyid, standing.predicate["reason"]) == (KEY, "rewards look hacked")
    ask = ask_letter(desk, desk.consent.state(), "resume", KEY)
    asked = sign(ask, ANNA)
    for spoilt, why in (
        (changed(asked, quorum={"persons": 0, "duties": []}), "another quorum"),
        (changed(asked, launchers=[KEY]), "in another's name"),
        (changed(asked, by="run"), "may not sign|too much"),
        (changed(asked, nonce="0" * 32), "than its nonce"),
        (changed(asked, checkpoint={"size": 1, "root": base64.b64encode(bytes(32)).decode()}), "another log"),
        (changed(asked, workspace="another"), "another workspace"),
        (changed(asked, expires_at=later(days=-300)), "does not expire within"),
    ):
        with pytest.raises(LoopwrightError, match=why):
            take(desk, spoilt)
    taken = take(desk, asked, ask)
    with pytest.raises(RefusedError, match="came in before"):
        take(desk, asked)
    desk.answer(desk.consent.state().acts.requests[str(taken.request)], approves=True, name="owner", reason="it is not")
    desk.consent.carry_out_granted("resume")
    assert desk.consent.state().acts.halts == ()
    with pytest.raises(RefusedError, match="came in before"):
        take(desk, stopped)
    take(desk, sign(stop_letter(desk, "freeze", KEY, "evidence"), ANNA))
    text = digest(status_of(Workspace(root=desk.root)), rfc3339(datetime.now(UTC)))
    assert "FROZEN since" in text
    assert "Waiting for persons: 2" in text
    assert "recipe (path recipes/longer.diff): lacks 1 more person" in text
    assert verify(desk.root).ok


def test_the_verbs_sign_offline_and_take_in(desk: Desk, tmp_path: Path) -> None:
    asked = next(iter(desk.consent.state().acts.requests.values()))
    lab, signed = str(desk.root), tmp_path / "answer.signed"

    def says(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, list(words))
        assert getattr(done.exception, "exit_code", done.exit_code) == code, (words, done.output, done.exception)
        return f"{done.output}{done.exception or ''}"

    before = desk.ledger.size
    says("approve", asked.id[7:19], "--as", "owner", "--offline", str(signed), "-w", lab)
    assert desk.ledger.size == before, "nothing is recorded by signing"
    assert "approval is entry" in says("take", str(signed), "-w", lab)
    assert "came in before" in says("take", str(signed), "-w", lab, code=3)
    safety = next(
        one.id for one in desk.consent.state().roster.current("person") if one.kind == "demo" and "safety" in one.duties
    )
    letter = tmp_path / "no.letter"
    letter.write_bytes(drafted(desk, 1, safety, approves=False).as_json())
    shown = says("sign", str(letter))
    assert "recipes/other.diff" in shown, "what is asked is read from the bytes that are answered"
    says("take", str(letter.with_suffix(".signed")), "-w", lab)
    state = desk.consent.state()
    assert [desk.consent.standing(one, state).status for one in state.acts.requests.values()] == ["granted", "vetoed"]
    assert "granted: the next run carries it out" in says("digest", "-w", lab)
