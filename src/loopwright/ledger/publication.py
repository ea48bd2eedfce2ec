"""The log as files that anyone can check: written so that a reader never sees half of one.

Every file is written beside its place, synced and renamed; full tiles and bundles never change again. Partial ones are
kept for two sizes: the log's, and that of the latest signed checkpoint (older ones are prefixes of these).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from loopwright.errors import InfraError
from loopwright.ledger.merkle import root_of
from loopwright.ledger.tiles import WIDTH, Tile, pack, tiles_of

__all__ = ["Published", "Source", "checkpoints_held", "keep_file", "publish", "write_file"]


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
    """All folders of partial tiles. Every entry is published by way of here, so nothing is asked of a file but its name."""
    try:
        found = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from [Path(entry.path)] if entry.name.endswith(".p") else _partials(Path(entry.path))


def _later_partials(folder: Path, size: int, since: int) -> Iterator[Path]:
    """Those of tiles that were not full at ``since``."""
    for level in range(-1, 10):
        span = WIDTH ** (max(level, 0) + 1)
        for index in range(since // span, size // span + 1):
            place = folder / f"{Tile(level, index).name}.p"
            if place.is_dir():
                yield place
        if level >= 0 and span > size:
            return


def _sweep(folder: Path, wanted: set[str], size: int = 0, since: int = 0) -> None:
    """Remove partial tiles that no wanted size has; a partial is dropped only when what replaces it is in place."""
    for partial in list(_later_partials(folder, size, since) if since else _partials(folder / "tile")):
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


def _publish_notes(folder: Path, notes: Mapping[int, str], *, all_: bool) -> None:
    """The latest checkpoint, with the cosignatures that its file has got since; then those that are not there yet."""
    latest = max(notes)
    signed, place = notes[latest].encode(), folder / "checkpoints" / str(latest)
    kept = place.read_bytes() if place.is_file() else signed
    keep_file(folder / "checkpoint", kept if kept.startswith(signed) else signed)
    names = os.listdir(place.parent) if all_ and place.parent.is_dir() else ()
    present = set(names) if all_ else {str(at) for at in notes if (place.parent / str(at)).is_file()}
    for at, note in notes.items():
        if str(at) not in present:
            write_file(place.parent / str(at), note.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What a publication left, so that the next one need not look at all of it again."""

    size: int
    latest: int
    """Size of its latest signed checkpoint."""
    marks: Mapping[Path, int]
    """When a name in each folder was last added or taken away: where that is other than we left it, somebody else was here."""

    def base(self) -> int:
        """The size up to which all is in place still; 0 where that has to be looked at."""
        return min(self.size, self.latest) if self.marks == _marks(self.marks) else 0


def _marks(folders: Iterable[Path]) -> dict[Path, int]:
    """Folders of full tiles and of checkpoints. Full tiles lie a thousand in a folder, so there are few."""
    found = dict[Path, int]()
    for folder in folders:
        with contextlib.suppress(FileNotFoundError):
            found[folder] = folder.stat().st_mtime_ns
    return found


def _folders(folder: Path, size: int) -> set[Path]:
    """Every folder in which tiles of a log of this size may have been put, and that of the checkpoints."""
    tiles = [Tile(-1, at) for at in range(0, size // WIDTH + 1, 1000)]
    level, count = 0, size
    while count:
        tiles += [Tile(level, at) for at in range(0, count // WIDTH + 1, 1000)]
        level, count = level + 1, count // WIDTH
    return {folder / "checkpoints", *((folder / tile.name).parent for tile in tiles)}


def publish(folder: Path, size: int, notes: Mapping[int, str], source: Source, since: int = 0) -> Published:
    """Make the files below ``folder`` those of a log of ``size`` entries with these signed checkpoints, by size.

    What is there already is not written again. The order matters to whoever reads meanwhile: first all tiles, then the
    checkpoint that needs them, and only then do the tiles go that the checkpoint before needed. ``since`` is the `Published.base`
    of an earlier publication: up to there nothing is looked at, and ``notes`` may begin with that publication's latest.
    """
    latest = max(notes, default=0)
    wanted = sorted({*tiles_of(latest, since), *tiles_of(size, since)})
    for tile in wanted:
        if not (folder / tile.name).is_file():
            write_file(folder / tile.name, _content(tile, source))
    if notes:
        _make(folder)
        with checkpoints_held(folder):
            _publish_notes(folder, notes, all_=not since)
    _sweep(folder, {tile.name for tile in wanted}, size, since)
    return Published(size=size, latest=latest, marks=_marks(_folders(folder, size)))
