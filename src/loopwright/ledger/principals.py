"""Who may say what: principals, their rights, and the check of a signature.

The genesis entry enrols the first ones; who was enrolled, rotated or revoked since is `roster`'s business. Only public keys
here; private ones are in `keys` (files), `signer` (the processes that use them) and `hands` (what persons sign with).
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = [
    "CUSTODY",
    "DEMONSTRATION",
    "RIGHTS",
    "ROLES",
    "SK_SSH",
    "Principal",
    "demonstration",
    "enrolled",
    "enrolment",
    "kind_of_role",
    "may_sign",
    "principal_id",
    "read_principal",
    "right",
    "signed_by",
]

RIGHTS: Mapping[str, frozenset[str]] = {
    "controller": frozenset(
        (
            "genesis",
            "open",
            "phase:seed",
            "phase:merge",
            "failure",
            "close",
            "rollback",
            "import",
            "enrol:founding",
            "request:run",
            "execute",
            "reveal",
            "halt:budget",
            "anchor",
            "reproduction",
            "gc",
        )
    ),
    "generator": frozenset(("phase:generate",)),
    "verifier": frozenset(("phase:verify",)),
    "trainer": frozenset(("phase:train", "signature")),
    "evaluator": frozenset(("phase:evaluate", "phase:examine")),
    "gate": frozenset(("phase:decide",)),
    "log": frozenset(("checkpoint",)),
    "person": frozenset(
        [
            "approval",
            "enrol",
            "rotate",
            "revoke",
            "request",
            "halt",
            "freeze",
            "recall",
            "observation",
            "incident",
            "answer",
            "filing",
        ]
    ),
    "agent": frozenset(("request:agent",)),
}
"""What each role's key may sign; what is in no set, nobody may. No right is in two sets (the judged is not the judge)."""

ROLES: tuple[str, ...] = tuple(role for role in RIGHTS if role not in {"person", "agent"})
"""Roles of services, for each of which the genesis entry enrols a key; persons and agents come with their own."""

_QUALIFIED = ("enrol", "request", "halt")
"""Kinds that a person may say, and the driver or an agent only in the way that the predicate's ``by`` names."""


CUSTODY: tuple[str, ...] = ("passphrase", "ssh-agent", "sk-ssh", "browser")
"""Where a person's private key may live: in a file encrypted with a passphrase, in an agent, in a FIDO2 token, or in a browser that never lets it out."""

SK_SSH = "sk-ssh-ed25519@openssh.com"
"""Scheme of a FIDO2 token's signatures (OpenSSH, PROTOCOL.u2f)."""

DEMONSTRATION = "demonstration key, not a person"
"""What stands beside everything that a principal of kind ``demo`` signed, wherever it is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Holder of one key, as it was enrolled."""

    id: str
    """First 16 hex digits of the sha256 of the raw public key; the key id of its signatures."""
    role: str
    kind: str
    """``person``, ``agent``, ``service`` or ``demo``: who really holds the key."""
    public_key: str
    """Base64 of the 32 raw bytes (Ed25519, RFC 8032)."""
    custody: str
    """Where the private key is kept and who uses it: words in a genesis entry, one of `CUSTODY` for a person enrolled later."""
    scheme: str = "ed25519"
    """How its signatures are made: ``ed25519``, or ``sk-ssh-ed25519@openssh.com`` (a FIDO2 key)."""
    application: str | None = None
    """Of a FIDO2 key: the application it was made for, by default ``ssh:``; part of what the token signs."""
    person: str | None = None
    """Salted digest of a person's name: two keys of one person share it, and count once. None: the id stands for the person."""
    duties: tuple[str, ...] = ()
    """Named roles of a person in the policy's quorums, for example ``owner`` and ``safety``."""
    owner: str | None = None
    """Of an agent: the person's principal on whose behalf it acts."""
    model: str | None = None
    """Of an agent: digest of the model that speaks."""

    @property
    def who(self) -> str:
        """What stands for the person behind the key: approvals by keys of one person count once."""
        return self.person or self.id


_FIELDS = tuple(field.name for field in fields(Principal))


def principal_id(public_key: bytes) -> str:
    """The id that belongs to these 32 bytes."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def kind_of_role(role: str, *, demo: bool) -> str:
    """``service`` for all but persons; a demo's person is ``demo``: its approvals are worth nothing elsewhere."""
    if role != "person":
        return "service"
    return "demo" if demo else "person"


def enrolment(role: str, public_key: bytes, custody: str, *, demo: bool, **more: Any) -> dict[str, Any]:
    """A principal as it is written into the genesis entry."""
    key = base64.b64encode(public_key).decode()
    kind = kind_of_role(role, demo=demo)
    return {"id": principal_id(public_key), "role": role, "kind": kind, "public_key": key, "custody": custody, **more}


def demonstration(principal: Principal) -> str:
    """Words that must stand beside what this principal signed; empty for all but demonstration keys."""
    return DEMONSTRATION if principal.kind == "demo" else ""


def read_principal(entry: Mapping[str, Any], *, demo: bool) -> Principal:
    """A principal as a statement tells it; ValueError where the entry contradicts itself."""
    told: dict[str, Any] = {name: entry[name] for name in _FIELDS if name in entry}
    told["duties"] = tuple(told.get("duties", ()))
    found = Principal(**told)
    if found.id != principal_id(base64.b64decode(found.public_key, validate=True)):
        raise ValueError(f"principal {found.id} is not the digest of its public key")
    if found.role not in RIGHTS:
        raise ValueError(f"principal {found.id} has the unknown role {found.role!r}")
    allowed = {"person": ("person", "demo") if demo else ("person",), "agent": ("agent",)}.get(found.role, ("service",))
    if found.kind not in allowed:
        raise ValueError(f"principal {found.id} of kind {found.kind!r} cannot hold the role {found.role!r}")
    if (found.role == "agent") != (found.owner is not None and found.model is not None):
        raise ValueError(f"principal {found.id}: an agent, and nobody else, has an owner and a model")
    if found.scheme not in {"ed25519", SK_SSH} or (found.scheme == SK_SSH) != (found.application is not None):
        raise ValueError(f"principal {found.id}: a FIDO2 key, and no other, names its application")
    return found


def enrolled(genesis: Mapping[str, Any]) -> dict[str, Principal]:
    """Principals by id; ValueError where an entry contradicts itself (a wrong id, a service as approver, one key twice)."""
    principals = [read_principal(entry, demo=genesis["demo"]) for entry in genesis["principals"]]
    found = {principal.id: principal for principal in principals}
    if len(found) != len(principals):
        raise ValueError("one key is enrolled twice")
    return found


def right(kind: str, predicate: Mapping[str, Any]) -> str:
    """The right that a statement needs: its kind, for a phase which one, and for what not only persons say, in whose name."""
    if kind == "phase":
        return f"phase:{predicate.get('phase')}"
    return f"{kind}:{predicate['by']}" if kind in _QUALIFIED and "by" in predicate else kind


def may_sign(role: str, needed: str) -> bool:
    """Deny by default."""
    return needed in RIGHTS.get(role, ())


@functools.cache
def _key(public_key: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key))


def signed_by(principal: Principal, signature: bytes, message: bytes) -> bool:
    """True where the principal's key made this signature over exactly these bytes.

    A FIDO2 token signs SHA256(application) ‖ flags ‖ counter ‖ SHA256(message); its signature is kept as the 64 bytes of
    Ed25519, the flags (1 byte) and the counter (4 bytes). It counts only where the token says that somebody touched it.
    """
    if principal.scheme == SK_SSH:
        said, signature = signature[64:], signature[:64]
        if len(said) != 5 or not said[0] & 1:
            return False
        message = hashlib.sha256(str(principal.application).encode()).digest() + said + hashlib.sha256(message).digest()
    try:
        _key(principal.public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True
