"""Files that are hashed while they are written, so that sealing or registering them later reads none of their bytes again.

A digest is handed on together with what tells that a file is still the same one: inode, size and time of change. Whoever takes it
compares these with what lies there and reads the file where anything differs, so one that was changed, copied or put in
another's place afterwards is hashed as what it is now.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

__all__ = ["NOTES", "FileStat", "HashedFile", "Hashes", "Known", "Written", "from_json", "leave", "left", "noting", "to_json"]

_BUFFER = 1 << 20
"""Bytes hashed at a time: they stay in the processor's cache until they are on their way out."""
NOTES = "written.json"
"""The file in which notes lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStat:
    """What tells, without reading, that a file is still the same one."""

    inode: int
    mtime_ns: int
    """Nanoseconds since the epoch."""
    size: int
    """Bytes."""

    @classmethod
    def of(cls, found: os.stat_result) -> FileStat:
        """The part of a stat result that matters."""
        return cls(inode=found.st_ino, mtime_ns=found.st_mtime_ns, size=found.st_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hashes:
    """Both digests of one file, as hex."""

    sha256: str
    """Identity: what manifests and the ledger hold."""
    md5: str
    """Address in DVC's cache; says nothing about integrity. Empty where nobody asked for it."""


Known = Callable[[Path, FileStat], "Hashes | None"]
"""Hashes of a file that has been read or written before and has not changed since, or None."""

Written = dict[FileStat, Hashes]
"""What was written, by what tells that it is still that."""

_listening: list[Written] = []


class HashedFile:
    """A new file whose digests are computed on the way out. It is written from its begin to its end, and never read.

    Args:
        path: Where; a file that is there is replaced, not overwritten: it may be linked to one that is on record.
        md5: Whether DVC will want it; it takes longer than sha256.
    """

    def __init__(self, path: Path, *, md5: bool = True) -> None:
        path.unlink(missing_ok=True)
        self._path = path
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False) if md5 else None
        self._file = path.open("xb", buffering=0)
        self.stat: FileStat | None = None
        """What the finished file is known by."""

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _BUFFER):
            piece = view[start : start + _BUFFER]
            self._sha256.update(piece)
            if self._md5:
                self._md5.update(piece)
            while len(piece):
                piece = piece[self._file.write(piece) or 0 :]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Close it; only a file that was written to its end is noted."""
        self._file.close()
        if kind is None:
            # After the close, which on a network file system settles the time of change; and a nanosecond earlier than that was:
            # clocks go by ticks of milliseconds, and a change in the same tick would not be seen.
            changed = self._path.stat().st_mtime_ns
            os.utime(self._path, ns=(changed, changed - 1))
            self.stat = FileStat.of(self._path.stat())
            hashes = Hashes(sha256=self._sha256.hexdigest(), md5=self._md5.hexdigest() if self._md5 else "")
            for notes in _listening:
                notes[self.stat] = hashes


@contextmanager
def noting() -> Iterator[Written]:
    """What is written by `HashedFile` in this process meanwhile."""
    notes: Written = {}
    _listening.append(notes)
    try:
        yield notes
    finally:
        _listening.remove(notes)


def to_json(notes: Written) -> list[list[Any]]:
    """Notes on their way between two processes."""
    return [[stat.inode, stat.mtime_ns, stat.size, hashes.sha256, hashes.md5] for stat, hashes in notes.items()]


def from_json(rows: list[list[Any]]) -> Written:
    """The reverse; ValueError where it is none."""
    return {
        FileStat(inode=inode, mtime_ns=mtime_ns, size=size): Hashes(sha256=sha256, md5=md5)
        for inode, mtime_ns, size, sha256, md5 in rows
    }


def leave(directory: Path, notes: Written) -> None:
    """Put notes down for whoever comes next to ``directory``, beside those that lie there."""
    if notes:
        (directory / NOTES).write_text(json.dumps(to_json(_read(directory) | notes)), encoding="utf-8")


def left(directory: Path, *, md5: bool = True) -> Known:
    """What `leave` put down, to be asked by path and stat; with ``md5`` only files whose md5 is known, too."""
    notes: Mapping[FileStat, Hashes] = _read(directory)

    def known(path: Path, found: FileStat) -> Hashes | None:
        hashes = notes.get(found)
        return hashes if hashes and (hashes.md5 or not md5) else None

    return known


def _read(directory: Path) -> Written:
    try:
        return from_json(json.loads((directory / NOTES).read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}  # then the files are simply read
