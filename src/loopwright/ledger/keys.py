"""Private keys on disk: one Ed25519 key a role, outside the workspace, readable by their owner alone.

``$XDG_CONFIG_HOME/loopwright/keys/<workspace id>/<role>.key`` (PKCS #8 PEM, mode 0600, folder 0700).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from loopwright.errors import WorkspaceError
from loopwright.ledger.principals import ROLES

__all__ = [
    "DEMO_PERSONS",
    "config_home",
    "key_folder",
    "key_path",
    "load_key",
    "make_demo_keys",
    "make_keys",
    "public_bytes",
    "write_key",
]

DEMO_PERSONS = {"operator": "person", "owner": "person.owner", "safety": "person.safety"}
"""The persons of a demonstration by name, with the file of each one's key: ``operator`` launches and proposes, the others answer."""

_WORKSPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def config_home() -> Path:
    """``$XDG_CONFIG_HOME/loopwright``: where this account keeps what is its own."""
    config = os.environ.get("XDG_CONFIG_HOME")
    return (Path(config) if config else Path.home() / ".config") / "loopwright"


def key_folder(workspace: str, key_home: Path | None = None) -> Path:
    """Where this workspace's keys are; ``key_home`` stands in for ``$XDG_CONFIG_HOME/loopwright/keys``.

    WorkspaceError where the workspace's id cannot be a folder's name.
    """
    if _WORKSPACE.fullmatch(workspace) is None:
        raise WorkspaceError(f"{workspace!r} cannot be a workspace's id", "use 1 to 64 letters, digits, '.', '_' and '-'")
    return (key_home or config_home() / "keys") / workspace


def key_path(folder: Path, role: str) -> Path:
    """The file of one role's key."""
    return folder / f"{role}.key"


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """The 32 raw bytes of the public key."""
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def write_key(path: Path, key: Ed25519PrivateKey, encryption: serialization.KeySerializationEncryption) -> None:
    """Put a private key on disk, mode 0600, whole or not at all."""
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


def load_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key; WorkspaceError where it is missing, damaged, or others may read it."""
    try:
        mode = path.stat().st_mode
        pem = path.read_bytes()
    except OSError as error:
        problem = f"this machine holds no {path.stem} key of workspace {path.parent.name}: {error.strerror} ({path})"
        raise WorkspaceError(problem, "run where the workspace was made, or restore its keys from their backup") from error
    if mode & 0o077:
        raise WorkspaceError(f"others may read the private key {path}", f"chmod 600 {path}")
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except ValueError as error:
        raise WorkspaceError(f"{path} is not a private key", "restore the workspace's keys from their backup") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise WorkspaceError(f"{path} is not an Ed25519 key", "restore the workspace's keys from their backup")
    return key


def _made(folder: Path, names: Iterable[str]) -> dict[str, bytes]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    for name in names:
        if not key_path(folder, name).is_file():
            write_key(key_path(folder, name), Ed25519PrivateKey.generate(), serialization.NoEncryption())
    return {name: public_bytes(load_key(key_path(folder, name))) for name in names}


def make_keys(folder: Path) -> Mapping[str, bytes]:
    """Public keys by role of a service; missing private ones are made, those that are there are kept (a crash may have come)."""
    return _made(folder, ROLES)


def make_demo_keys(folder: Path) -> Mapping[str, bytes]:
    """Public keys of a demonstration's persons by name. Plain files: whoever reads them is all three."""
    made = _made(folder, DEMO_PERSONS.values())
    return {name: made[file] for name, file in DEMO_PERSONS.items()}
