"""The key of an endpoint: read from a file that only its owner can read, and never from the plan or the environment."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from loopwright.errors import PlanError

__all__ = ["key_path", "read_key"]

_MOST = 4096


def key_path(name: str) -> Path:
    """Where a plan's ``key_file`` lies: as it stands, or below ``$XDG_CONFIG_HOME/loopwright``."""
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "loopwright"
    return base / Path(name).expanduser()


def read_key(name: str, root: Path) -> str:
    """The key; PlanError where the file is not there, lies in the workspace, or can be read by others."""
    path = key_path(name)
    if path.resolve().is_relative_to(root.resolve()):
        raise PlanError(f"key_file {name} lies in the workspace, which is published", "move it out, and take a new key")
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise PlanError(f"key_file {path} cannot be read: {error.strerror}", "put the key there, then chmod 600") from error
    with open(handle, encoding="ascii", errors="replace") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise PlanError(f"key_file {path} can be read or replaced by others than its owner", f"chmod 600 {path}")
        key = file.read(_MOST).strip()
    if not key or not key.isprintable() or not key.isascii() or " " in key:
        raise PlanError(f"key_file {path} holds no key", "it has one line, the key and nothing else")
    return key
