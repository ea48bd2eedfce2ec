"""Who is enrolled: persons and agents in, new keys for old, keys out. Each is an entry that a person signs.

The first person of a workspace is enrolled by the controller, every other by a person who is there already. The program cannot
prove that a human being holds a key; it enforces kind, custody and that somebody else did the enrolling.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from loopwright.clock import now
from loopwright.errors import RefusedError, UsageError
from loopwright.govern.requests import Desk
from loopwright.ledger.fold import LoopState
from loopwright.ledger.hands import Passphrase, agent_file, keep_public, make_person
from loopwright.ledger.keys import key_folder, key_path, public_bytes, write_key
from loopwright.ledger.names import keep_name, name_of, who_is
from loopwright.ledger.principals import CUSTODY, ROLES, Principal, demonstration, principal_id
from loopwright.ledger.roster import Holding
from loopwright.ledger.signer import Hand
from loopwright.ledger.sshagent import AgentKey, agent_keys, read_public
from loopwright.ledger.statement import Statement
from loopwright.types import Digest

__all__ = ["Key", "enrol", "enrol_agent", "listed", "new_key", "revoke", "rotate", "rotate_role"]

_PROCESS = "file of mode 0600, used by the process that asks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A public key that is to be enrolled, and where its private part is."""

    public: bytes
    custody: str
    scheme: str = "ed25519"
    application: str | None = None

    def entry(self, role: str, **more: Any) -> dict[str, Any]:
        """The principal as an entry tells it."""
        kind = role if role in {"person", "agent"} else "service"
        told = {"id": principal_id(self.public), "role": role, "kind": kind, "custody": self.custody}
        told["public_key"] = base64.b64encode(self.public).decode()
        if self.application is not None:
            told |= {"scheme": self.scheme, "application": self.application}
        return told | {name: value for name, value in more.items() if value}


def new_key(name: str, passphrase: Passphrase, ssh: Path | None, custody: str | None) -> Key:
    """The key to enrol: that of a ``.pub`` file, or one made here behind a passphrase."""
    if custody is not None and custody not in CUSTODY:
        raise UsageError(f"a person's key is kept by {', '.join(CUSTODY)}, not by {custody!r}")
    if ssh is None:
        return Key(public=make_person(name, passphrase), custody="passphrase")
    found: AgentKey = read_public(ssh)
    if any(key.public_key == found.public_key for key in agent_keys()):
        keep_public(name, found.public_key)
    return Key(public=found.public_key, custody=custody or found.custody, scheme=found.scheme, application=found.application)


def enrol(desk: Desk, name: str, duties: Sequence[str], key: Key, by: str | None) -> str:
    """Enrol a person; the key's id. ``by``: who signs; the controller for the first person of all."""
    state = desk.consent.state()
    first = not any(one.principal.role == "person" for one in state.roster.holdings.values())
    entry = key.entry("person", person=keep_name(desk.root, name), duties=list(duties))
    said = {"principal": entry, "enrolled_at": now(), **({"by": "founding"} if first else {})}
    hand = None if first else desk.hand(state, by, "owner")[1]
    return _say(desk, state, "enrol", said, hand)


def enrol_agent(desk: Desk, name: str, owner: str, model: Digest, by: str | None) -> str:
    """Enrol a model that may propose, on behalf of a person; its key is made here. It can never approve."""
    state = desk.consent.state()
    who = who_is(desk.root, state.roster, owner)
    behind = [one for one in state.roster.current("person") if one.who == who]
    if not behind:
        raise UsageError(f"{owner} is no enrolled person", "`loopwright keys list`")
    private = Ed25519PrivateKey.generate()
    key = Key(public=public_bytes(private), custody=_PROCESS)
    folder = key_folder(state.workspace)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_key(agent_file(folder, principal_id(key.public)), private, serialization.NoEncryption())
    entry = key.entry("agent", person=keep_name(desk.root, name), owner=behind[0].id, model=model)
    return _say(desk, state, "enrol", {"principal": entry, "enrolled_at": now()}, desk.hand(state, by, "owner")[1])


def rotate(desk: Desk, name: str, make: Callable[[str], Key], by: str | None) -> str:
    """A new key for a person, who signs that with the old one (or somebody else does); the new key's id.

    ``make``: gives the key, by the name of the file that it may be kept in here.
    """
    state = desk.consent.state()
    old = _person(desk, state, name)
    hand = desk.hand(state, by or name, "owner")[1]
    count = sum(one.principal.who == old.who for one in state.roster.holdings.values())
    key = make(f"{name}.{count + 1}")
    entry = key.entry("person", person=old.who, duties=list(old.duties))
    return _say(desk, state, "rotate", {"old": old.id, "principal": entry, "rotated_at": now()}, hand)


def rotate_role(desk: Desk, role: str, by: str | None) -> str:
    """A new key for a service. No driver may be at work: it would go on with the old one."""
    if role not in ROLES:
        raise UsageError(f"{role!r} is no role of a service", f"one of {', '.join(ROLES)}")
    with desk.ledger.lease():
        state = desk.consent.state()
        [old] = state.roster.current(role)
        hand, place = desk.hand(state, by, "owner")[1], key_path(key_folder(state.workspace), role)
        private = Ed25519PrivateKey.generate()
        entry = Key(public=public_bytes(private), custody=old.custody).entry(role)
        draft = place.with_suffix(".next")
        write_key(draft, private, serialization.NoEncryption())
        made = _say(desk, state, "rotate", {"old": old.id, "principal": entry, "rotated_at": now()}, hand)
        draft.rename(place)
    return made


def revoke(desk: Desk, name: str, effective: int | None, reason: str, by: str | None) -> list[str]:
    """End all keys of a person, agent or key id; what they signed from entry ``effective`` on counts for nothing. Their ids."""
    state = desk.consent.state()
    who = who_is(desk.root, state.roster, name)
    ended = [one.principal for one in state.roster.holdings.values() if one.revoked is None and who == one.principal.who]
    if not ended:
        raise UsageError(f"nobody of the name {name} is enrolled", "`loopwright keys list`")
    hand = desk.hand(state, by, "owner")[1]
    for principal in ended:
        at = state.leaves if effective is None else effective
        said = {"principal": principal.id, "effective": at, "reason": reason, "revoked_at": now()}
        _say(desk, state, "revoke", said, hand)
        state = desk.consent.state()
    return [principal.id for principal in ended]


def _person(desk: Desk, state: LoopState, name: str) -> Principal:
    who = who_is(desk.root, state.roster, name)
    found = [one for one in state.roster.current("person") if one.who == who]
    if not found:
        raise UsageError(f"{name} is no enrolled person", "`loopwright keys list`")
    return found[-1]


def _say(desk: Desk, state: LoopState, kind: str, said: dict[str, Any], hand: Hand | None) -> str:
    """Append it, after asking the roster whether it may be said: an entry that it refuses would spoil the log for ever."""
    role = "person" if hand else "controller"
    signer = principal_id(hand.public_key) if hand else state.roster.current("controller")[0].id
    entry = {**said, "event": f"{kind}:{state.leaves}"}
    try:
        state.roster.after(Statement(index=state.leaves, kind=kind, subjects=(), predicate=entry, keyid=signer))
    except ValueError as error:
        raise RefusedError(str(error), "`loopwright keys list`") from error
    key = said["principal"] if isinstance(said["principal"], str) else said["principal"]["id"]
    desk.ledger.append(kind, [], said, role=role, event=f"{kind}:{key}", hand=hand)
    desk.ledger.publish()
    return key


def listed(desk: Desk) -> list[dict[str, Any]]:
    """Everybody who was ever enrolled, as plain values, in the order of enrolment."""
    state = desk.consent.state()
    return [_row(desk.root, holding) for holding in state.roster.holdings.values()]


def _row(root: Path, holding: Holding) -> dict[str, Any]:
    one = holding.principal
    named = one.role in {"person", "agent"}
    return {
        "key": one.id,
        "name": name_of(root, one) if named else one.role,
        "role": one.role,
        "kind": one.kind,
        "note": demonstration(one),
        "duties": list(one.duties),
        "custody": one.custody,
        "scheme": one.scheme,
        "owner": one.owner,
        "model": one.model,
        "since": holding.since,
        "by": holding.by,
        "revoked": holding.revoked,
        "void_from": holding.void_from,
    }
