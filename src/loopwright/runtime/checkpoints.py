"""Resume checkpoints on disk: which directories are whole, which is the newest, which may go.

A checkpoint is a directory ``step_<number>`` below a job's storage. It counts once it holds ``COMPLETE.json``, the list of
its files with their sha256: a worker that was killed while it wrote, or a disk that lost bytes, leaves a directory that
does not match its list, and training goes on from the one before. A resume checkpoint may hold pickles, so nothing is
loaded whose digest this workspace did not record.

Who writes a checkpoint may leave the digests that it knows (`loopwright.written`): those files are not read again to list them.
To go on from a checkpoint, every file is read and compared.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

from loopwright.types import FileEntry
from loopwright.written import NOTES, FileStat, Known, left

__all__ = ["COMPLETE", "KEPT", "ask_to_leave", "asked_to_leave", "latest", "register", "sweep", "unask"]

COMPLETE = "COMPLETE.json"
"""The file that makes a directory a checkpoint."""
KEPT = 2
"""Complete checkpoints that stay, where the job does not say; one is enough to resume, the other is for the day on which it is damaged."""
_LEAVE = "leave"
"""The file, beside the storages of all jobs of a phase, by which the driver asks training to save and end."""
_STEP = re.compile(r"step_(\d+)")


def register(directory: Path, keep: int = KEPT) -> None:
    """Make ``directory`` the checkpoint to resume from, and drop complete ones but for the newest ``keep``.

    Raises:
        ValueError: it is not named ``step_<number>``.
    """
    if not _STEP.fullmatch(directory.name):
        raise ValueError(f"a checkpoint directory is named step_<number>, not {directory.name!r}")
    listed = [
        {"path": entry.path, "sha256": entry.sha256, "size": entry.size}
        for entry in _entries(directory, left(directory, md5=False))
    ]
    draft = directory / f"{COMPLETE}.draft"
    draft.write_text(json.dumps({"files": listed, "schema": 1}, sort_keys=True), encoding="utf-8")
    draft.replace(directory / COMPLETE)
    (directory / NOTES).unlink(missing_ok=True)
    complete = [place for place in _steps(directory.parent) if (place / COMPLETE).is_file()]
    for place in complete[:-keep]:
        shutil.rmtree(place, ignore_errors=True)


def latest(storage: Path) -> Path | None:
    """The newest checkpoint below ``storage`` that matches its own list, or None."""
    return next((place for place in reversed(_steps(storage)) if _is_whole(place)), None)


def ask_to_leave(scratch: Path) -> None:
    """Have the training whose storage lies below ``scratch`` save what it has and end, on whatever host it runs."""
    (scratch / _LEAVE).touch()


def unask(scratch: Path) -> None:
    """A new attempt begins; what the last one was asked does not concern it."""
    (scratch / _LEAVE).unlink(missing_ok=True)


def asked_to_leave(storage: Path) -> bool:
    """Whether the driver has asked so; ``storage`` is the job's own."""
    return (storage.parent / _LEAVE).exists()


def sweep(storage: Path) -> None:
    """Remove what killed workers left half written; called before a job starts, when nobody writes."""
    for place in _steps(storage):
        if not (place / COMPLETE).is_file():
            shutil.rmtree(place, ignore_errors=True)


def _steps(storage: Path) -> list[Path]:
    """Directories named ``step_<number>``, by number."""
    if not storage.is_dir():
        return []
    found = [(int(match[1]), place) for place in storage.iterdir() if (match := _STEP.fullmatch(place.name)) and place.is_dir()]
    return [place for _, place in sorted(found)]


def _entries(directory: Path, known: Known | None = None) -> list[FileEntry]:
    ignored = {directory / name for name in (COMPLETE, f"{COMPLETE}.draft", NOTES)}
    paths = sorted(path for path in directory.rglob("*") if path.is_file() and path not in ignored)
    return [
        FileEntry(path=path.relative_to(directory).as_posix(), size=path.stat().st_size, sha256=_sha256(path, known))
        for path in paths
    ]


def _sha256(path: Path, known: Known | None) -> str:
    hashes = known(path, FileStat.of(path.lstat())) if known else None
    if hashes is not None:
        return hashes.sha256
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_whole(directory: Path) -> bool:
    try:
        listed = json.loads((directory / COMPLETE).read_text(encoding="utf-8"))["files"]
        return listed == [{"path": entry.path, "sha256": entry.sha256, "size": entry.size} for entry in _entries(directory)]
    except (OSError, ValueError, KeyError, TypeError):
        return False  # no list, or one that cannot be read: not a checkpoint
