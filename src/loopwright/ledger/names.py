"""Names of persons: in an erasable file beside the state database, never in the log.

The log has a salted digest of the name. ``.loopwright/people.json`` has name and salt by digest; it is in no commit and in no
export. Without it everything still verifies, and nobody can tell whose digest it was.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from loopwright.errors import UsageError
from loopwright.ledger.principals import Principal
from loopwright.ledger.publication import write_file
from loopwright.ledger.roster import Roster
from loopwright.types import Digest, digest_value

__all__ = ["forget", "keep_name", "name_of", "names_of", "who_is"]

_FILE = Path(".loopwright/people.json")


def _read(root: Path) -> dict[str, dict[str, str]]:
    path = root / _FILE
    return json.loads(path.read_bytes()) if path.is_file() else {}


def _write(root: Path, names: dict[str, dict[str, str]]) -> None:
    (root / _FILE).parent.mkdir(parents=True, exist_ok=True)
    write_file(root / _FILE, json.dumps(names, indent=1).encode() + b"\n")


def keep_name(root: Path, name: str) -> Digest:
    """The salted digest that stands for this person in the log: the one they have, or a new one."""
    names = _read(root)
    for digest, kept in names.items():
        if kept["name"] == name:
            return digest
    salt = secrets.token_hex(16)
    digest = digest_value(["loopwright person", salt, name])
    _write(root, {**names, digest: {"name": name, "salt": salt}})
    return digest


def forget(root: Path, name: str) -> Digest:
    """Erase a name and its salt; the digest that now stands for nobody in particular. UsageError where there is none."""
    names = _read(root)
    found = [digest for digest, kept in names.items() if kept["name"] == name]
    if not found:
        raise UsageError(f"no person of the name {name} is known here", "`loopwright keys list`")
    _write(root, {digest: kept for digest, kept in names.items() if digest not in found})
    return found[0]


def name_of(root: Path, principal: Principal) -> str:
    """The name, or the key id where it was forgotten or is not known here. A demonstration's persons are called by their duty."""
    if principal.kind == "demo" and principal.duties:
        return principal.duties[0]
    kept = _read(root).get(principal.person or "")
    return kept["name"] if kept else principal.id


def names_of(root: Path, roster: Roster) -> dict[str, str]:
    """Names of persons and agents by key id, those who were revoked among them."""
    people = [one.principal for one in roster.holdings.values() if one.principal.role in {"person", "agent"}]
    return {one.id: name_of(root, one) for one in people}


def who_is(root: Path, roster: Roster, name: str) -> str | None:
    """`Principal.who` of whoever has this name, key id or duty of a demonstration; None where nobody has."""
    for key, known in names_of(root, roster).items():
        if name in {key, known}:
            return roster.holdings[key].principal.who
    return None
