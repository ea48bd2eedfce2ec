"""What persons and agents sign with: a key file behind a passphrase, ssh-agent, or a demonstration's plain file.

A person's own files are in ``$XDG_CONFIG_HOME/loopwright/people/``: ``NAME.key`` (PKCS #8, encrypted) and ``NAME.json`` (the
public part). They belong to the account and serve all its workspaces. A passphrase is asked at a terminal or read from a
file; it is never in an environment or on a command line.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from loopwright.errors import LoopwrightError, RefusedError, UsageError, WorkspaceError
from loopwright.ledger.keys import DEMO_PERSONS, config_home, key_folder, key_path, load_key, public_bytes, write_key
from loopwright.ledger.names import names_of, who_is
from loopwright.ledger.principals import CUSTODY, Principal, principal_id
from loopwright.ledger.roster import Roster
from loopwright.ledger.signer import Hand
from loopwright.ledger.sshagent import AgentKey, agent_keys, public_line

__all__ = [
    "KeyHand",
    "Passphrase",
    "SignedElsewhere",
    "agent_file",
    "hand_of",
    "hand_with",
    "hands_here",
    "keep_public",
    "launchers",
    "make_person",
    "open_person",
]

Passphrase = Callable[[str], bytes]
"""Asks for the passphrase of what the words name."""

SHORTEST = 12
"""Characters of a passphrase."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


@dataclass(frozen=True, slots=True)
class KeyHand:
    """A private key in this process."""

    key: Ed25519PrivateKey

    @property
    def public_key(self) -> bytes:
        """See `Hand`."""
        return public_bytes(self.key)

    def sign(self, message: bytes) -> bytes:
        """See `Hand`."""
        return self.key.sign(message)


@dataclass(frozen=True, slots=True)
class SignedElsewhere:
    """A signature that was made where the key is, and brought here: it fits one message, and `Ledger.append` checks which."""

    public_key: bytes
    signature: bytes

    def sign(self, message: bytes) -> bytes:
        """See `Hand`; whatever the message is."""
        return self.signature


def _people() -> Path:
    return config_home() / "people"


def _file(name: str, suffix: str) -> Path:
    if _NAME.fullmatch(name) is None:
        raise UsageError(f"{name!r} cannot be a person's name here", "1 to 64 letters, digits, '.', '_', '@' and '-'")
    return _people() / f"{name}{suffix}"


def make_person(name: str, passphrase: Passphrase) -> bytes:
    """A new key for a person, encrypted; its raw public key. One that is there under this name is opened and used.

    The passphrase is asked twice. UsageError where it is too short, or the second is not the first.
    """
    path = _file(name, ".key")
    if path.exists():
        return open_person(name, passphrase).public_key
    said = passphrase(f"new passphrase for {name}'s key")
    if len(said.decode(errors="replace")) < SHORTEST:
        raise UsageError(
            f"the passphrase is shorter than {SHORTEST} characters", "a few words that nobody would guess are enough"
        )
    if passphrase("the same passphrase again") != said:
        raise UsageError("the two passphrases differ; no key was made")
    key = Ed25519PrivateKey.generate()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_key(path, key, serialization.BestAvailableEncryption(said))
    keep_public(name, public_bytes(key))
    return public_bytes(key)


def keep_public(name: str, public_key: bytes) -> None:
    """Remember that this account signs as this person, so that what it launches is known to be theirs."""
    path = _file(name, ".json")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(json.dumps({"public_key": base64.b64encode(public_key).decode()}) + "\n", encoding="utf-8")


def public_file(name: str) -> Path:
    """The public part of this account's key in OpenSSH's form, to be given to who enrols; written where it is missing."""
    path = _file(name, ".pub")
    public = base64.b64decode(json.loads(_file(name, ".json").read_bytes())["public_key"])
    path.write_text(f"{public_line(public)} {name}\n", encoding="utf-8")
    return path


def open_person(name: str, passphrase: Passphrase) -> KeyHand:
    """The person's key, after their passphrase; RefusedError where it is wrong."""
    path = _file(name, ".key")
    if path.stat().st_mode & 0o077:
        raise WorkspaceError(f"others may read the private key {path}", f"chmod 600 {path}")
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), passphrase(f"passphrase of {name}'s key"))
    except (ValueError, TypeError) as error:
        raise RefusedError(f"the passphrase does not open {path}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise WorkspaceError(f"{path} is not an Ed25519 key", "restore it from its backup")
    return KeyHand(key)


def hands_here() -> dict[str, str]:
    """Key id -> name of the persons whose keys lie in this account (files, or held by its ssh-agent)."""
    found = dict[str, str]()
    for path in sorted(_people().glob("*.json")):
        found[principal_id(base64.b64decode(json.loads(path.read_bytes())["public_key"]))] = path.stem
    return found


def _held() -> dict[str, AgentKey]:
    return {principal_id(key.public_key): key for key in agent_keys()}


def launchers(root: Path, roster: Roster, name: str | None) -> tuple[str, ...]:
    """Key ids of the persons who start a run from this account: all whose keys lie here, and the named one.

    In a demonstration, where all keys lie here, the operator. A name adds somebody and never takes anybody away; UsageError
    where nobody has it.
    """
    persons = roster.current("person")
    who = None if name is None else who_is(root, roster, name)
    named = [one.id for one in persons if one.who == who]
    if name is not None and not named:
        raise UsageError(f"{name} is no enrolled person", "`loopwright keys list`")
    if roster.demo:
        return tuple(dict.fromkeys((*(one.id for one in persons if "operator" in one.duties), *named)))
    try:
        held = _held()
    except LoopwrightError:
        held = {}
    here = {*hands_here(), *held}
    return tuple(dict.fromkeys((*(one.id for one in persons if one.id in here), *named)))


def hand_of(root: Path, workspace: str, roster: Roster, name: str, passphrase: Passphrase) -> tuple[Principal, Hand]:
    """A person's or agent's principal with what signs for it here.

    UsageError where nobody of this name is enrolled, or no key of theirs is in reach of this account.
    """
    who, found = who_is(root, roster, name), None
    mine = [one.principal for one in roster.holdings.values() if one.revoked is None and one.principal.who == who]
    for principal in mine:
        found = _hand(workspace, principal, name, passphrase)
        if found is not None:
            return principal, found
    known = ", ".join(sorted(names_of(root, roster).values())) or "nobody"
    if not mine:
        raise UsageError(f"{name} is not enrolled in this workspace (enrolled: {known})", "`loopwright keys list`")
    raise UsageError(f"this account holds no key of {name}", "`ssh-add` it, or type this where the key is")


def hand_with(workspace: str, key: str, passphrase: Passphrase) -> Hand:
    """What signs with this key id in this account, with no workspace in reach; UsageError where it holds no such key."""
    local = hands_here().get(key)
    if local is not None and _file(local, ".key").is_file():
        return open_person(local, passphrase)
    found = _held().get(key) or _plain_with(key_folder(workspace), key)
    if found is None:
        raise UsageError(f"this account holds no key {key}", "`ssh-add` it, or type this where the key is")
    return found


def _hand(workspace: str, principal: Principal, name: str, passphrase: Passphrase) -> Hand | None:
    if principal.kind == "demo" or principal.role == "agent" or principal.custody not in CUSTODY:
        return _plain(key_folder(workspace), principal)
    if principal.custody == "passphrase":
        here = {key: local for key, local in hands_here().items() if _file(local, ".key").is_file()}
        return open_person(here[principal.id], passphrase) if principal.id in here else None
    return _held().get(principal.id)


def _plain(folder: Path, principal: Principal) -> KeyHand | None:
    """A demonstration's person, an agent, or the one person of a workspace that the first version made."""
    return _plain_with(folder, principal.id)


def _plain_with(folder: Path, key: str) -> KeyHand | None:
    for path in (*(key_path(folder, file) for file in DEMO_PERSONS.values()), agent_file(folder, key)):
        if path.is_file() and principal_id((hand := KeyHand(load_key(path))).public_key) == key:
            return hand
    return None


def agent_file(folder: Path, key: str) -> Path:
    """Where an agent's key is: used by processes, so without a passphrase."""
    return key_path(folder, f"agent.{key}")
