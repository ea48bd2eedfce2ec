"""Where the published log keeps what: names and bytes of entry bundles and hash tiles (C2SP tlog-tiles, height 8).

Everything here is a pure function of the log, except `read_files`, `read_entries` and `published_size`, which look at a folder,
and what they give, which reads full tiles and bundles when it is asked for them: a log of millions of entries fits into little memory.
"""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from loopwright.errors import InfraError, IntegrityError
from loopwright.ledger.merkle import leaf_hash, root_of

__all__ = [
    "WIDTH",
    "Entries",
    "Files",
    "Tile",
    "bundles_in",
    "entries_of",
    "levels_of",
    "pack",
    "published_size",
    "read_entries",
    "read_files",
    "split",
    "tile_at",
    "tiles_of",
    "unpack",
]

WIDTH = 256
"""Entries of a full bundle, hashes of a full tile."""

_PATIENCE = 100

_FULL = re.compile(r"(?:entries|\d{1,2})(?:/x\d{3})*/\d{3}")


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """One published file: hashes ``index * 256 …`` of a level, or (level -1) the entries themselves."""

    level: int
    index: int
    width: int = WIDTH
    """1 to 256; below 256 the tile is partial and its name says so."""

    @property
    def start(self) -> int:
        """The first hash or entry in it."""
        return self.index * WIDTH

    @property
    def stop(self) -> int:
        """One past the last."""
        return self.start + self.width

    @property
    def name(self) -> str:
        """Path below the ledger's folder, for example ``tile/0/x001/234.p/7``."""
        digits = f"{self.index:03d}"
        digits = digits.rjust(-(-len(digits) // 3) * 3, "0")
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        place = "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:])
        level = "entries" if self.level < 0 else str(self.level)
        return f"tile/{level}/{place}" + ("" if self.width == WIDTH else f".p/{self.width}")


def tile_at(name: str) -> Tile:
    """The inverse of `Tile.name`; ValueError where no tile has that name."""
    place, _, width = name.removeprefix("tile/").partition(".p/")
    if _FULL.fullmatch(place) is None:
        raise ValueError(f"{name} is no tile's name")
    level, *groups = place.split("/")
    index = int("".join(group.removeprefix("x") for group in groups))
    found = Tile(-1 if level == "entries" else int(level), index, int(width) if width.isdigit() else WIDTH)
    if found.name != name or not 1 <= found.width <= WIDTH:
        raise ValueError(f"{name} is no tile's name")
    return found


def _level(level: int, count: int, since: int) -> Iterator[Tile]:
    full, rest = divmod(count, WIDTH)
    yield from (Tile(level, index) for index in range(since // WIDTH, full))
    if rest:
        yield Tile(level, full, rest)


def tiles_of(size: int, since: int = 0) -> Iterator[Tile]:
    """Every file that a log of ``size`` entries consists of, but for what was full at ``since``: bundles first, then hash tiles

    from level 0 up.
    """
    yield from _level(-1, size, since)
    level = 0
    while size:
        yield from _level(level, size, since)
        level, size, since = level + 1, size // WIDTH, since // WIDTH


def levels_of(leaves: bytes | bytearray) -> list[bytes | bytearray]:
    """Hashes by level, 32 bytes each: the leaf hashes, then the roots of every 256 complete hashes of the level below."""
    levels, tile = [leaves], WIDTH * 32
    while len(levels[-1]) >= tile:
        below = levels[-1]
        levels.append(b"".join(root_of(split(below[at : at + tile])) for at in range(0, len(below) - tile + 1, tile)))
    return levels


def split(hashes: bytes | bytearray) -> list[bytes]:
    """Hashes that stand one after the other."""
    return [bytes(hashes[at : at + 32]) for at in range(0, len(hashes), 32)]


def pack(entries: Sequence[bytes]) -> bytes:
    """An entry bundle: each entry after its length, an unsigned 16-bit big-endian number."""
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)


def unpack(bundle: bytes) -> list[bytes]:
    """The entries of a bundle; ValueError where it ends within one."""
    entries, at = [], 0
    while at < len(bundle):
        start = at + 2
        at = start + int.from_bytes(bundle[at:start], "big")
        if at > len(bundle):
            raise ValueError(f"the bundle ends within its entry {len(entries)}")
        entries.append(bundle[start:at])
    return entries


def bundles_in(names: Iterable[str]) -> list[Tile]:
    """Among these file names, the entry bundles that make up the longest log: the widest of each number, without a gap."""
    widths: dict[int, int] = {}
    for name in names:
        with contextlib.suppress(ValueError):
            tile = tile_at(name)
            if tile.level < 0:
                widths[tile.index] = max(tile.width, widths.get(tile.index, 0))
    found: list[Tile] = []
    while len(found) in widths and (not found or found[-1].width == WIDTH):
        found.append(Tile(-1, len(found), widths[len(found)]))
    return found


def entries_of(tile: Tile, data: bytes) -> list[bytes]:
    """The entries of one bundle's bytes; ValueError, with its name first, where it is not whole."""
    try:
        found = unpack(data)
    except ValueError as error:
        raise ValueError(f"{tile.name}: {error}") from error
    if len(found) != tile.width:
        raise ValueError(f"{tile.name}: {len(found)} entries where its name says {tile.width}")
    return found


class Entries(Sequence[bytes]):
    """The entries of a published log, read a bundle at a time."""

    def __init__(self, files: Mapping[str, bytes], tiles: Sequence[Tile], hashes: bytes | bytearray | None = None) -> None:
        """``hashes``: leaf hashes, 32 bytes each, that what is read must have (IntegrityError), or None: whatever is there."""
        self._files, self._tiles, self._hashes = files, tiles, hashes
        self._held: tuple[int, list[bytes]] = -1, []

    def __len__(self) -> int:
        return self._tiles[-1].stop if self._tiles else 0

    def _bundle(self, number: int) -> list[bytes]:
        if self._held[0] != number:
            tile = self._tiles[number]
            found = entries_of(tile, self._files.get(tile.name, b""))
            expected = self._hashes[tile.start * 32 : tile.stop * 32] if self._hashes is not None else None
            if expected is not None and b"".join(map(leaf_hash, found)) != expected:
                raise IntegrityError(f"{tile.name} was changed while it was read", "loopwright verify")
            self._held = number, found
        return self._held[1]

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> list[bytes]: ...
    def __getitem__(self, at: int | slice) -> bytes | list[bytes]:
        if isinstance(at, slice):
            return [self[index] for index in range(len(self))[at]]
        index = range(len(self))[at]
        return self._bundle(index // WIDTH)[index % WIDTH]

    def __iter__(self) -> Iterator[bytes]:
        for number in range(len(self._tiles)):
            yield from self._bundle(number)


class Files(Mapping[str, bytes]):
    """A published log's files by name: full tiles and bundles, which never change, are read each time they are asked for."""

    def __init__(self, folder: Path, names: Iterable[str], held: Mapping[str, bytes]) -> None:
        self._folder, self._names, self._held = folder, tuple(names), held

    def __getitem__(self, name: str) -> bytes:
        if name in self._held or not _FULL.fullmatch(name.removeprefix("tile/")):
            return self._held[name]
        try:
            return (self._folder / name).read_bytes()
        except OSError as error:
            raise KeyError(name) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _stamps(folder: Path, below: str) -> dict[str, int]:
    found = {}
    for path in sorted((folder / below).rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and not path.name.startswith("."):
                found[path.relative_to(folder).as_posix()] = path.stat().st_mtime_ns
    return found


def read_files(folder: Path, below: str = "") -> Files:
    """A published log's files by name, as of one moment: read again where a driver published in the meantime."""
    for _ in range(_PATIENCE):
        before = _stamps(folder, below)
        changing = [name for name in before if not _FULL.fullmatch(name.removeprefix("tile/"))]
        try:
            held = {name: (folder / name).read_bytes() for name in changing}
        except FileNotFoundError:
            continue
        if _stamps(folder, below) == before:
            return Files(folder, before, held)
    raise InfraError(f"{folder} changes faster than it can be read", "try again when the driver is done")


def published_size(folder: Path) -> int:
    """Entries that a published log says it has, by the names of its files alone."""
    names = (path.relative_to(folder).as_posix() for path in (folder / "tile" / "entries").rglob("*"))
    return max((tile.stop for tile in bundles_in(names)), default=0)


def read_entries(folder: Path) -> list[bytes]:
    """All published entries in order; ValueError, with the file's name first, where a bundle is not whole."""
    files = read_files(folder, "tile/entries")
    return list(Entries(files, bundles_in(files)))
