"""The log as files that anyone can check: written so that a reader never sees half of one.

Every file is written beside its place, synced and renamed; full tiles and bundles never change again. Partial ones are
kept for two sizes: the log's, and that of the latest signed checkpoint (older ones are prefixes of these).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from loopwright.errors import InfraError
from loopwright.ledger.merkle import root_of
from loopwright.ledger.tiles import WIDTH, Tile, pack, tiles_of

__all__ = ["Source", "checkpoints_held", "keep_file", "publish", "write_file"]


class Source(Protocol):
    """The log, as the publication reads it."""

    def envelopes(self, start: int, stop: int) -> Sequence[bytes]: ...

    def hashes(self, start: int, stop: int) -> Sequence[bytes]: ...


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make(folder: Path) -> None:
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def write_file(path: Path, data: bytes) -> None:
    """Put these bytes at this path, durably and at once; InfraError where the disk does not take them.

    The temporary name is fixed, so that what a crash leaves is overwritten by the next attempt.
    """
    draft = path.with_name(f".{path.name}.tmp")
    try:
        _make(path.parent)
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        _sync(path.parent)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise InfraError(f"cannot write {path}: {error.strerror}", "make room or fix the disk, then run again") from error


def _content(tile: Tile, source: Source) -> bytes:
    if tile.level < 0:
        return pack(source.envelopes(tile.start, tile.stop))
    span = WIDTH**tile.level
    if tile.level == 0:
        return b"".join(source.hashes(tile.start, tile.stop))
    return b"".join(root_of(source.hashes(at * span, (at + 1) * span)) for at in range(tile.start, tile.stop))


def _partials(folder: Path) -> Iterator[Path]:
    """Folders of partial tiles. Every entry is published by way of here, so nothing is asked of a file but its name."""
    try:
        found = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from [Path(entry.path)] if entry.name.endswith(".p") else _partials(Path(entry.path))


def _sweep(folder: Path, wanted: set[str]) -> None:
    """Remove partial tiles that no wanted size has; a partial is dropped only when what replaces it is in place."""
    for partial in list(_partials(folder / "tile")):
        for file in partial.iterdir():
            if file.relative_to(folder).as_posix() not in wanted:
                file.unlink()
        if not any(partial.iterdir()):
            shutil.rmtree(partial)


def keep_file(path: Path, data: bytes) -> None:
    """`write_file` unless these bytes are there."""
    if not path.is_file() or path.read_bytes() != data:
        write_file(path, data)


@contextlib.contextmanager
def checkpoints_held(folder: Path) -> Iterator[None]:
    """One hand at a time below ``checkpoints/``: the driver publishes new ones while witnesses sign old ones."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _publish_notes(folder: Path, notes: Mapping[int, str]) -> None:
    """The latest checkpoint, with the cosignatures that its file has got since; then those that are not there yet."""
    latest = max(notes)
    signed, place = notes[latest].encode(), folder / "checkpoints" / str(latest)
    kept = place.read_bytes() if place.is_file() else signed
    keep_file(folder / "checkpoint", kept if kept.startswith(signed) else signed)
    present = set(os.listdir(place.parent)) if place.parent.is_dir() else set[str]()
    for at, note in notes.items():
        if str(at) not in present:
            write_file(folder / "checkpoints" / str(at), note.encode())


def publish(folder: Path, size: int, notes: Mapping[int, str], source: Source) -> None:
    """Make the files below ``folder`` those of a log of ``size`` entries with these signed checkpoints, by size.

    What is there already is not written again. The order matters to whoever reads meanwhile: first all tiles, then the
    checkpoint that needs them, and only then do the tiles go that the checkpoint before needed.
    """
    latest = max(notes, default=0)
    wanted = sorted({*tiles_of(latest), *tiles_of(size)})
    for tile in wanted:
        if not (folder / tile.name).is_file():
            write_file(folder / tile.name, _content(tile, source))
    if notes:
        _make(folder)
        with checkpoints_held(folder):
            _publish_notes(folder, notes)
    _sweep(folder, {tile.name for tile in wanted})
