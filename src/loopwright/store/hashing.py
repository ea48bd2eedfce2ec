"""One pass over an artifact's bytes: md5 (DVC's address) and sha256 (the evidence) together, never one after the other.

Hashing is the price of recording a checkpoint, so each byte is read once, by as many threads as there are files and
cores, in buffers of 1 MiB (hashlib lets go of the interpreter lock). A file that changes while it is read is an error,
and a file whose inode, size and modification time are known is not read again.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from loopwright.errors import IntegrityError, WorkspaceError
from loopwright.store.files import sync_directory
from loopwright.types import FileEntry, Manifest
from loopwright.written import FileStat, Hashes, Known

__all__ = ["FileStat", "Hashes", "Known", "Sealed", "default_threads", "measure", "plain_files", "seal"]

BUFFER = 1 << 20
"""Bytes read at a time."""

_SMALL = 4 << 20
"""Bytes below which starting threads costs more than it saves."""

_UNSEEN_BY_DVC = frozenset({".git", ".hg", ".dvc", ".dvcignore"})
"""Names that DVC skips or refuses inside a directory that it versions."""

_buffers = threading.local()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """An artifact as it was read: its identity, and what DVC needs so as not to read it again."""

    manifest: Manifest
    md5s: Mapping[str, str]
    """By path as in the manifest."""
    stats: Mapping[str, FileStat]
    """By path as in the manifest: the files that were read."""


def default_threads() -> int:
    """Threads that hash, or wait for a process each: one a core that this process may use, at most 16."""
    return max(1, min(16, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1))


def plain_files(path: Path) -> dict[str, Path]:
    """Relative name -> path of every file of an artifact, sorted; a single file goes by its own name.

    WorkspaceError for links, devices and names that DVC would skip: they could not be brought back.
    """
    if path.is_symlink() or not (path.is_file() or path.is_dir()):
        raise WorkspaceError(f"{path} is no plain file or directory", "replace the link by a copy of what it points to")
    if path.is_file():
        return {path.name: path}
    return dict(sorted((file.relative_to(path).as_posix(), file) for file in _walk(path)))


def _walk(directory: Path) -> Iterator[Path]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name in _UNSEEN_BY_DVC:
                raise WorkspaceError(f"{entry.path} cannot be versioned: DVC skips this name", "rename it")
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                yield Path(entry.path)
            else:
                raise WorkspaceError(f"{entry.path} is no plain file", "replace the link by a copy of what it points to")


def _buffer() -> memoryview:
    if not hasattr(_buffers, "view"):
        _buffers.view = memoryview(bytearray(BUFFER))
    return _buffers.view


def _read(path: Path, sync: bool) -> tuple[FileStat, Hashes]:
    md5, sha256, view = hashlib.md5(usedforsecurity=False), hashlib.sha256(), _buffer()
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb", buffering=0) as file:
        before = FileStat.of(os.fstat(file.fileno()))
        if sync:
            os.fsync(file.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while count := file.readinto(view):
            md5.update(view[:count])
            sha256.update(view[:count])
        if FileStat.of(os.fstat(file.fileno())) != before:
            raise IntegrityError(
                f"{path} was changed while it was being hashed", "end the process that writes it, then run again"
            )
    return before, Hashes(sha256=sha256.hexdigest(), md5=md5.hexdigest())


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _hash_one(path: Path, known: Known | None, sync: bool) -> tuple[FileStat, Hashes]:
    found = FileStat.of(path.lstat())
    hashes = known(path, found) if known else None
    if hashes is None:
        return _read(path, sync)
    if sync:
        _sync(path)
    return found, hashes


def _hash_all(files: Mapping[str, Path], threads: int, known: Known | None, sync: bool) -> dict[str, tuple[FileStat, Hashes]]:
    sizes = {name: path.lstat().st_size for name, path in files.items()}
    if threads == 1 or len(files) < 2 or sum(sizes.values()) < _SMALL:
        return {name: _hash_one(path, known, sync) for name, path in files.items()}
    largest_first = sorted(files, key=lambda name: -sizes[name])  # so that no long file is begun last
    with ThreadPoolExecutor(threads, "loopwright-hash") as pool:
        results = pool.map(lambda name: _hash_one(files[name], known, sync), largest_first)
        return dict(zip(largest_first, results, strict=True))


def measure(path: Path, kind: str, *, threads: int | None = None, known: Known | None = None, sync: bool = False) -> Sealed:
    """Read a file or a directory once and say what it is; nothing is changed.

    ``threads`` defaults to the cores at hand; ``sync`` also forces the bytes to disk. Raises WorkspaceError where there
    is no file or something that is no plain file, IntegrityError where a file changes meanwhile.
    """
    if not os.path.lexists(path):
        raise WorkspaceError(f"{path} does not exist", "restore it (`dvc pull`, `git checkout`) or name another")
    files = plain_files(path)
    if not files:
        raise WorkspaceError(f"{path} holds no file", "an artifact has at least one")
    read = _hash_all(files, threads or default_threads(), known, sync)
    entries = tuple(FileEntry(path=name, size=read[name][0].size, sha256=read[name][1].sha256) for name in files)
    return Sealed(
        manifest=Manifest(kind=kind, files=entries),
        md5s={name: read[name][1].md5 for name in files},
        stats={name: read[name][0] for name in files},
    )


def seal(path: Path, kind: str, *, threads: int | None = None, known: Known | None = None) -> Sealed:
    """Make a fresh output final: its files read-only (0444), on disk, hashed in one pass; its directories synced too.

    Directories keep their write bit: what protects DVC's cache is that no file can be opened for writing, and a
    read-only directory would keep anyone but root from `dvc checkout` and `dvc repro`.
    """
    for file in plain_files(path).values() if os.path.lexists(path) else ():
        if stat.S_IMODE(file.lstat().st_mode) != 0o444:
            file.chmod(0o444)
    sealed = measure(path, kind, threads=threads, known=known, sync=True)
    if path.is_dir():
        for folder in {folder for file in sealed.manifest.files for folder in Path(file.path).parents}:
            sync_directory(path / folder)
    sync_directory(path.parent)
    return sealed
