"""Which texts may be near one another: MinHash signatures cut into bands (Broder 1997; Leskovec et al., Mining of Massive Datasets, 3.4).

Two texts that share a band are candidates and nothing more. A band is kept as 64 bits, so a row costs eight bytes a band, however long
it is; those of an archive's shard are computed once and kept outside the artifacts, by the shard's digest. What is kept is a cache:
damaged or deleted it is made again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from loopwright.types import Digest

__all__ = ["Bands", "Grams", "grams_of", "kept_bands", "shared"]

_PERMUTATIONS = 128
_TOKEN = re.compile(r"\w+|[^\w\s]")
_GRAM = 3
_SLICE = 2**18
"""Rows of a shard that are held against others at once."""
_DIGEST = 32

Grams = frozenset[tuple[str, ...]]


def grams_of(text: str) -> Grams:
    """Its token 3-grams."""
    tokens = _TOKEN.findall(text)
    return frozenset(tuple(tokens[start : start + _GRAM]) for start in range(max(1, len(tokens) - _GRAM + 1)))


class Bands:
    """How texts are cut: so that those at ``threshold`` (Jaccard) or above probably share a band."""

    def __init__(self, threshold: float) -> None:
        from datasketch import MinHash, MinHashLSH

        lsh = MinHashLSH(threshold=threshold, num_perm=_PERMUTATIONS)
        self.count = int(lsh.b)
        draw = np.random.Generator(np.random.Philox(key=1))
        self._weights = draw.integers(1, 2**64 - 1, (self.count, int(lsh.r)), dtype=np.uint64, endpoint=True)
        """One a number of a signature: a band's sum says the same as its numbers, and nothing in another band."""
        self._empty: Any = MinHash(num_perm=_PERMUTATIONS, seed=1)

    def of(self, grams: Iterable[Grams]) -> np.ndarray:
        """A row of ``count`` numbers a text (uint64)."""
        found = [self._signature(each) for each in grams]
        values = np.array(found, dtype=np.uint64).reshape(len(found), _PERMUTATIONS)
        used = values[:, : self._weights.size].reshape(len(found), *self._weights.shape)
        return (used * self._weights).sum(axis=2, dtype=np.uint64)

    def _signature(self, grams: Grams) -> np.ndarray:
        made = self._empty.copy()
        made.update_batch(["\0".join(gram).encode("utf-8", "surrogatepass") for gram in sorted(grams)])
        return made.hashvalues


def kept_bands(
    folder: Path, shard: Digest, made_by: str, pieces: Iterable[np.ndarray], count: int
) -> Iterator[tuple[int, np.ndarray]]:
    """The bands of a shard's rows by slices, each with the position of its first row: from the cache, where it has them.

    Args:
        folder: The cache.
        shard: Digest of the shard.
        made_by: What else the numbers hang on.
        pieces: Gives them where they are not known; not asked for otherwise.
        count: Bands a row.
    """
    file = folder / f"{shard[7:39]}-{sha256(made_by.encode()).hexdigest()[:16]}.bands"
    if not _intact(file):
        _write(file, pieces)
    rows = (file.stat().st_size - _DIGEST) // (8 * count)
    for start in range(0, rows, _SLICE):
        stop = min(start + _SLICE, rows)
        yield start, np.fromfile(file, np.uint64, (stop - start) * count, offset=_DIGEST + start * count * 8).reshape(-1, count)


def _intact(file: Path) -> bool:
    try:
        with file.open("rb") as source:
            told, summed = source.read(_DIGEST), sha256()
            while piece := source.read(2**20):
                summed.update(piece)
    except FileNotFoundError:
        return False
    return told == summed.digest()


def _write(file: Path, pieces: Iterable[np.ndarray]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft, summed = file.with_suffix(f".{os.getpid()}"), sha256()
    try:
        with draft.open("wb") as target:
            target.write(bytes(_DIGEST))
            for piece in pieces:
                data = np.ascontiguousarray(piece).tobytes()
                summed.update(data)
                target.write(data)
            target.seek(0)
            target.write(summed.digest())
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


def shared(own: np.ndarray, other: np.ndarray) -> Sequence[tuple[int, int]]:
    """Pairs of rows, one of each, that share a band; sorted, each once."""
    pairs = set[tuple[int, int]]()
    for band in range(own.shape[1]):
        order = np.argsort(own[:, band], kind="stable")
        values = own[order, band]
        left, right = (np.searchsorted(values, other[:, band], side=side) for side in ("left", "right"))
        for place in np.flatnonzero(right > left).tolist():
            pairs.update((int(one), place) for one in order[left[place] : right[place]])
    return sorted(pairs)
