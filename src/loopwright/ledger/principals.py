"""Who may say what: the principals that the genesis entry enrols, their rights, and the check of a signature.

Only public keys here; private ones are in `keys` (files) and `signer` (the processes that use them).
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = [
    "RIGHTS",
    "ROLES",
    "Principal",
    "enrolled",
    "enrolment",
    "kind_of_role",
    "may_sign",
    "principal_id",
    "right",
    "signed_by",
]

RIGHTS: Mapping[str, frozenset[str]] = {
    "controller": frozenset(("genesis", "open", "phase:seed", "phase:merge", "failure", "close", "rollback", "import")),
    "generator": frozenset(("phase:generate",)),
    "verifier": frozenset(("phase:verify",)),
    "trainer": frozenset(("phase:train",)),
    "evaluator": frozenset(("phase:evaluate", "phase:examine")),
    "gate": frozenset(("phase:decide",)),
    "log": frozenset(("checkpoint",)),
    "person": frozenset(("approval",)),
}
"""What each role's key may sign; what is in no set, nobody may. No right is in two sets (the judged is not the judge)."""

ROLES: tuple[str, ...] = tuple(RIGHTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Holder of one key, as the genesis entry enrols it."""

    id: str
    """First 16 hex digits of the sha256 of the raw public key; the key id of its signatures."""
    role: str
    kind: str
    """``person``, ``agent``, ``service`` or ``demo``: who really holds the key."""
    public_key: str
    """Base64 of the 32 raw bytes (Ed25519, RFC 8032)."""
    custody: str
    """Where the private key is kept and who uses it, in words for a report."""


def principal_id(public_key: bytes) -> str:
    """The id that belongs to these 32 bytes."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def kind_of_role(role: str, *, demo: bool) -> str:
    """``service`` for all but persons; a demo's person is ``demo``: its approvals are worth nothing elsewhere."""
    if role != "person":
        return "service"
    return "demo" if demo else "person"


def enrolment(role: str, public_key: bytes, custody: str, *, demo: bool) -> dict[str, str]:
    """A principal as it is written into the genesis entry."""
    key = base64.b64encode(public_key).decode()
    kind = kind_of_role(role, demo=demo)
    return asdict(Principal(id=principal_id(public_key), role=role, kind=kind, public_key=key, custody=custody))


def _principal(entry: Mapping[str, Any], *, demo: bool) -> Principal:
    found = Principal(**{name: entry[name] for name in ("id", "role", "kind", "public_key", "custody")})
    if found.id != principal_id(base64.b64decode(found.public_key, validate=True)):
        raise ValueError(f"principal {found.id} is not the digest of its public key")
    if found.role not in RIGHTS:
        raise ValueError(f"principal {found.id} has the unknown role {found.role!r}")
    if (found.role == "person") != (found.kind in ("person", "demo")) or (found.kind == "demo" and not demo):
        raise ValueError(f"principal {found.id} of kind {found.kind!r} cannot hold the role {found.role!r}")
    return found


def enrolled(genesis: Mapping[str, Any]) -> dict[str, Principal]:
    """Principals by id; ValueError where an entry contradicts itself (a wrong id, a service as approver, one key twice)."""
    principals = [_principal(entry, demo=genesis["demo"]) for entry in genesis["principals"]]
    found = {principal.id: principal for principal in principals}
    if len(found) != len(principals):
        raise ValueError("one key is enrolled twice")
    return found


def right(kind: str, predicate: Mapping[str, Any]) -> str:
    """The right that a statement needs: its kind, and for a phase which one."""
    return f"phase:{predicate.get('phase')}" if kind == "phase" else kind


def may_sign(role: str, needed: str) -> bool:
    """Deny by default."""
    return needed in RIGHTS.get(role, ())


@functools.cache
def _key(public_key: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key))


def signed_by(principal: Principal, signature: bytes, message: bytes) -> bool:
    """True where the principal's key made this signature over exactly these bytes."""
    try:
        _key(principal.public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True
