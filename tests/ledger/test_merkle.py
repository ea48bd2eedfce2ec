"""RFC 6962 trees: published vectors, and for every tree that the proofs hold and that nothing else passes for them."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.ledger.merkle import (
    CompactRange,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# The trees of the Certificate Transparency reference implementations.
ENTRIES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
FIRST_OF_EIGHT = [
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
]


def leaves(size: int) -> list[bytes]:
    return [leaf_hash(str(index).encode()) for index in range(size)]


def mth(hashes: list[bytes]) -> bytes:
    """The definition in RFC 6962 §2.1, word for word."""
    if len(hashes) == 1:
        return hashes[0]
    middle = 1
    while middle * 2 < len(hashes):
        middle *= 2
    return node_hash(mth(hashes[:middle]), mth(hashes[middle:]))


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(changed)


def test_published_roots() -> None:
    assert CompactRange().root() == hashlib.sha256(b"").digest()
    tree = CompactRange()
    for entry, root in zip(ENTRIES, ROOTS, strict=True):
        tree = tree.extend([leaf_hash(entry)])
        assert tree.root().hex() == root


def test_published_proof() -> None:
    assert [node.hex() for node in inclusion_proof([leaf_hash(entry) for entry in ENTRIES], 0)] == FIRST_OF_EIGHT


@given(st.integers(1, 300))
def test_a_compact_range_is_the_definition_and_stays_small(size: int) -> None:
    tree = CompactRange().extend(leaves(size))
    assert (tree.size, tree.root()) == (size, mth(leaves(size)))
    assert len(tree.peaks) == size.bit_count()


@given(st.data())
def test_inclusion_holds_for_this_leaf_here_and_for_nothing_else(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 200))
    index = data.draw(st.integers(0, size - 1))
    hashes = leaves(size)
    leaf, root, proof = hashes[index], root_of(hashes), inclusion_proof(hashes, index)
    assert verify_inclusion(leaf, index, size, proof, root)
    bit = data.draw(st.integers(0, 255))
    assert not verify_inclusion(flipped(leaf, bit), index, size, proof, root)
    assert not verify_inclusion(leaf, index, size, proof, flipped(root, bit))
    for at in range(len(proof)):
        assert not verify_inclusion(leaf, index, size, [*proof[:at], flipped(proof[at], bit), *proof[at + 1 :]], root)
    assert not verify_inclusion(leaf, index, size, [*proof, root], root)
    assert not verify_inclusion(leaf, index, size, proof[:-1], root) or size == 1
    other = data.draw(st.integers(0, size - 1).filter(lambda at: at != index)) if size > 1 else size
    assert not verify_inclusion(leaf, other, size, proof, root)


@given(st.data())
def test_consistency_holds_for_a_prefix_and_for_nothing_else(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 200))
    old = data.draw(st.integers(1, new))
    hashes = leaves(new)
    before, after, proof = root_of(hashes[:old]), root_of(hashes), consistency_proof(hashes, old)
    assert verify_consistency(old, new, before, after, proof)
    bit = data.draw(st.integers(0, 255))
    assert not verify_consistency(old, new, flipped(before, bit), after, proof)
    assert not verify_consistency(old, new, before, flipped(after, bit), proof)
    for at in range(len(proof)):
        assert not verify_consistency(old, new, before, after, [*proof[:at], flipped(proof[at], bit), *proof[at + 1 :]])
    assert not verify_consistency(old, new, before, after, [*proof, after])
    edited = [*hashes[: old - 1], leaf_hash(b"another"), *hashes[old:]]
    assert not verify_consistency(old, new, before, root_of(edited), consistency_proof(edited, old))


def test_there_is_no_proof_of_what_is_not_there() -> None:
    with pytest.raises(ValueError, match="no leaf 3"):
        inclusion_proof(leaves(3), 3)
    with pytest.raises(ValueError, match="no tree of 4"):
        consistency_proof(leaves(3), 4)
    assert not verify_inclusion(leaves(1)[0], 1, 1, [], leaves(1)[0])
    assert not verify_consistency(2, 1, leaves(1)[0], leaves(1)[0], [])
