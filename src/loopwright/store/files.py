"""Durable writes: a file or a name is either as it was or as it should be, also after kill -9 and loss of power."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from loopwright.errors import InfraError

__all__ = ["drop_drafts", "sync_directory", "write_atomic"]

_DRAFT = re.compile(r"\..+\.[a-z0-9_]{8}\.new")


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable (fsync of the directory itself)."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomic(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data`` in one step; directories on the way are made. InfraError where the disk refuses."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, data)
        sync_directory(path.parent)
    except OSError as error:
        problem = f"{path} cannot be written: {error.strerror}"
        raise InfraError(problem, "free space or set permissions, then run the same command again") from error


def drop_drafts(folder: Path) -> None:
    """Remove what kills in the midst of `write_atomic` left in this folder, by whoever alone writes there."""
    for path in folder.glob(".*.new"):
        if _DRAFT.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _replace(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".new")
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
