"""Proofs drawn from what is published: inclusion of an entry, consistency of two sizes (RFC 6962 §2.1), a few tiles each.

A proof is made over a source of subtree roots. `over` makes one from leaf hashes, `tiled` from the hash tiles of a
published log, of which it reads a handful. Whether a proof holds is `loopwright.ledger.merkle`'s to say: the source is
not trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from loopwright.ledger.merkle import node_hash, root_of
from loopwright.ledger.tiles import WIDTH, Tile

__all__ = ["Roots", "consistency", "inclusion", "over", "tiled"]

Roots = Callable[[int, int], bytes]
"""``roots(start, stop)``: RFC 6962 tree head over the leaves from ``start`` up to ``stop`` (excluded)."""


def over(hashes: Callable[[int, int], Sequence[bytes]]) -> Roots:
    """Roots from leaf hashes ``hashes(start, stop)``; reads all of them."""
    return lambda start, stop: root_of(hashes(start, stop))


def _split(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1


def tiled(read: Callable[[str], bytes], size: int) -> Roots:
    """Roots from the published hash tiles of a log of ``size`` entries; ``read`` gives a tile's bytes by its name.

    ValueError where a tile is not as long as its name says; whatever ``read`` raises where there is none.
    """

    @lru_cache(maxsize=64)
    def tile(level: int, index: int) -> bytes:
        width = min(WIDTH, size // WIDTH**level - index * WIDTH)
        place = Tile(level, index, width)
        data = read(place.name)
        if len(data) != 32 * width:
            raise ValueError(f"{place.name}: {len(data)} bytes where its name says {32 * width}")
        return data

    def roots(start: int, stop: int) -> bytes:
        count = stop - start
        if count & (count - 1):  # the right edge: split where RFC 6962 splits
            middle = start + _split(count)
            return node_hash(roots(start, middle), roots(middle, stop))
        level = (count.bit_length() - 1) // 8
        first = start // WIDTH**level
        index, at = divmod(first, WIDTH)
        data = tile(level, index)
        return root_of([data[32 * each : 32 * each + 32] for each in range(at, at + count // WIDTH**level)])

    return roots


def inclusion(roots: Roots, index: int, size: int) -> list[bytes]:
    """RFC 6962 §2.1.1: the siblings on the way from leaf ``index`` to the root of the tree of ``size`` leaves."""
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    proof: list[bytes] = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            proof.append(roots(middle, stop))
            stop = middle
        else:
            proof.append(roots(start, middle))
            start = middle
    return proof[::-1]


def consistency(roots: Roots, old: int, size: int) -> list[bytes]:
    """RFC 6962 §2.1.2: that the tree over the first ``old`` leaves is a prefix of the tree over ``size``."""
    if not 0 < old <= size:
        raise ValueError(f"no tree of {old} within a tree of {size}")
    proof: list[bytes] = []
    start, stop, whole = 0, size, True
    while old != stop:
        middle = start + _split(stop - start)
        if old <= middle:
            proof.append(roots(middle, stop))
            stop = middle
        else:
            proof.append(roots(start, middle))
            start, whole = middle, False
    return ([] if whole else [roots(start, stop)]) + proof[::-1]
