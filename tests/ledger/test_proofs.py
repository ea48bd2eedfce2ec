"""Proofs from tiles are those of the whole tree, and few tiles are read for one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.ledger.merkle import consistency_proof, inclusion_proof, root_of, verify_consistency, verify_inclusion
from loopwright.ledger.proofs import consistency, inclusion, over, tiled
from loopwright.ledger.tiles import WIDTH, tiles_of

LEAVES = [hashlib.sha256(str(number).encode()).digest() for number in range(70_000)]


class Tiles:
    """The hash tiles of a log of ``size`` entries, and which were read."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        levels = [leaves]
        while len(levels[-1]) >= WIDTH:
            full = range(0, len(levels[-1]) - WIDTH + 1, WIDTH)
            levels.append([root_of(levels[-1][at : at + WIDTH]) for at in full])
        self.files = {
            tile.name: b"".join(levels[tile.level][tile.start : tile.stop]) for tile in tiles_of(len(leaves)) if tile.level >= 0
        }
        self.read: set[str] = set()

    def __call__(self, name: str) -> bytes:
        self.read.add(name)
        return self.files[name]


@given(size=st.integers(1, 600), data=st.data())
def test_both_sources_give_the_proofs_of_the_whole_tree(size: int, data: st.DataObject) -> None:
    leaves = LEAVES[:size]
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    for roots in (over(lambda start, stop: leaves[start:stop]), tiled(Tiles(leaves), size)):
        assert inclusion(roots, index, size) == inclusion_proof(leaves, index)
        assert consistency(roots, old, size) == consistency_proof(leaves, old)


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 70_000])
def test_a_large_log_costs_a_handful_of_tiles(size: int) -> None:
    tiles, leaves = Tiles(LEAVES[:size]), LEAVES[:size]
    roots = tiled(tiles, size)
    root, old = root_of(leaves), size - 300
    assert roots(0, size) == root
    assert verify_consistency(old, size, root_of(leaves[:old]), root, consistency(roots, old, size))
    assert verify_inclusion(leaves[777], 777, size, inclusion(roots, 777, size), root)
    assert len(tiles.read) < 12


def test_what_is_outside_the_tree_and_a_short_tile_are_refused() -> None:
    tiles = Tiles(LEAVES[:10])
    roots = tiled(tiles, 10)
    with pytest.raises(ValueError, match="no leaf 10"):
        inclusion(roots, 10, 10)
    with pytest.raises(ValueError, match="no tree of 11"):
        consistency(roots, 11, 10)
    tiles.files["tile/0/000.p/10"] = b"short"
    with pytest.raises(ValueError, match="5 bytes"):
        inclusion(roots, 0, 10)
