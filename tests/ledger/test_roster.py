"""Who is enrolled when: later keys, their limits, and what a revocation undoes."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from loopwright.ledger.keys import public_bytes
from loopwright.ledger.principals import enrolment, principal_id
from loopwright.ledger.roster import Roster
from loopwright.ledger.statement import Statement


def key(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def entry(name: str, role: str = "person", **more: Any) -> dict[str, Any]:
    public = public_bytes(key(name))
    kind = {"person": "person", "agent": "agent"}.get(role, "service")
    told = {"id": principal_id(public), "role": role, "kind": kind, "public_key": base64.b64encode(public).decode()}
    return {**told, "custody": "passphrase", **more}


def said(kind: str, index: int, signer: str, /, **predicate: Any) -> Statement:
    keyid = principal_id(public_bytes(key(signer)))
    return Statement(index=index, kind=kind, subjects=(), predicate={"event": str(index), **predicate}, keyid=keyid)


@pytest.fixture
def roster() -> Roster:
    """Ada, who is there from the start, and a gate."""
    first = [
        enrolment(role, public_bytes(key(name)), "test", demo=False) for role, name in (("person", "ada"), ("gate", "gate"))
    ]
    return Roster.of({"demo": False, "principals": first})


def identity(name: str) -> str:
    return principal_id(public_bytes(key(name)))


def test_a_person_is_enrolled_by_another_and_signs_until_revoked(roster: Roster) -> None:
    with_bob = roster.after(said("enrol", 5, "ada", principal=entry("bob", person="salted bob", duties=["safety"])))
    assert roster.holder(identity("bob")) is None
    assert with_bob.holder(identity("bob")).duties == ("safety",)
    without = with_bob.after(said("revoke", 9, "ada", principal=identity("bob"), effective=7, reason="lost"))
    assert without.holder(identity("bob")) is None
    assert [without.counts(identity("bob"), at) for at in (4, 5, 6, 7, 9)] == [False, True, True, False, False]
    assert [one.id for one in without.current("person")] == [identity("ada")]


def test_a_key_is_rotated_to_the_same_person_only(roster: Roster) -> None:
    old = identity("ada")
    after = roster.after(said("rotate", 5, "ada", old=old, principal=entry("ada 2", person=old)))
    assert (after.holder(old), after.holder(identity("ada 2")).who) == (None, old)
    with pytest.raises(ValueError, match="does not succeed"):
        roster.after(said("rotate", 5, "ada", old=old, principal=entry("eve", person="salted eve")))
    with pytest.raises(ValueError, match="does not succeed"):
        roster.after(said("rotate", 5, "ada", old=identity("gate"), principal=entry("t", "trainer")))


@pytest.mark.parametrize(
    ("by", "predicate", "objection"),
    [
        ("ada", {"principal": entry("ada")}, "enrolled once"),
        ("ada", {"principal": entry("ada 2", person=identity("ada"))}, "of the same person"),
        ("ada", {"principal": entry("bob"), "by": "founding"}, "only the first person"),
        ("ada", {"principal": entry("bob", custody="a file")}, "kept by passphrase"),
        ("ada", {"principal": entry("bot", "agent", owner=identity("gate"), model="sha256:0")}, "no enrolled person"),
        ("ada", {"principal": entry("bot", "agent")}, "an owner and a model"),
        ("ada", {"principal": entry("demo", kind="demo")}, "cannot hold"),
    ],
)
def test_what_nobody_may_enrol(roster: Roster, by: str, predicate: dict[str, Any], objection: str) -> None:
    with pytest.raises(ValueError, match=objection):
        roster.after(said("enrol", 5, by, **predicate))


@pytest.mark.parametrize(("name", "effective"), [("nobody", 5), ("ada", 0), ("ada", 6)])
def test_what_cannot_be_revoked(roster: Roster, name: str, effective: int) -> None:
    with pytest.raises(ValueError, match="revoked"):
        roster.after(said("revoke", 5, "gate", principal=identity(name), effective=effective, reason="-"))


def test_the_first_person_of_a_log_without_one_is_enrolled_by_the_controller() -> None:
    empty = Roster.of({"demo": False, "principals": [enrolment("gate", public_bytes(key("gate")), "test", demo=False)]})
    first = empty.after(said("enrol", 1, "gate", principal=entry("ada"), by="founding"))
    assert [one.id for one in first.current("person")] == [identity("ada")]
