"""The tree over the log's entries: RFC 6962 hashes, a compact range to append to, and proofs.

A proof lets somebody who sees one entry, or an old checkpoint, check it against a root without the other entries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = [
    "CompactRange",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "root_of",
    "verify_consistency",
    "verify_inclusion",
]


def leaf_hash(entry: bytes) -> bytes:
    """RFC 6962 §2.1: a leaf and a node can never have the same hash."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962 §2.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class CompactRange:
    """All that must be remembered of a tree to append to it: the roots of its complete subtrees."""

    size: int = 0
    """Leaves."""
    peaks: tuple[bytes, ...] = ()
    """From left to right, one for each bit of the size."""

    def extend(self, leaves: Iterable[bytes]) -> CompactRange:
        """The tree with all these leaf hashes appended: for each one node hash for each trailing 1 bit of the size."""
        peaks, size = list(self.peaks), self.size
        for leaf in leaves:
            at, node = size, leaf
            while at & 1:
                node = node_hash(peaks.pop(), node)
                at >>= 1
            peaks.append(node)
            size += 1
        return CompactRange(size, tuple(peaks))

    def root(self) -> bytes:
        """RFC 6962 tree head."""
        if not self.peaks:
            return hashlib.sha256(b"").digest()
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The tree head over these leaf hashes."""
    return CompactRange().extend(leaves).root()


def _split(size: int) -> int:
    """The largest power of two below ``size`` (which is at least 2)."""
    return 1 << (size - 1).bit_length() - 1


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """RFC 6962 §2.1.1: the siblings on the way from leaf ``index`` to the root over ``leaves``."""
    if not 0 <= index < len(leaves):
        raise ValueError(f"no leaf {index} in a tree of {len(leaves)}")
    if len(leaves) == 1:
        return []
    middle = _split(len(leaves))
    if index < middle:
        return [*inclusion_proof(leaves[:middle], index), root_of(leaves[middle:])]
    return [*inclusion_proof(leaves[middle:], index - middle), root_of(leaves[:middle])]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """RFC 9162 §2.1.3.2: is this leaf hash entry ``index`` of the tree of ``size`` leaves with this root?"""
    if not 0 <= index < size:
        return False
    position, last = index, size - 1
    seen = leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            seen = node_hash(sibling, seen)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            seen = node_hash(seen, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and seen == root


def _subproof(leaves: Sequence[bytes], old: int, *, whole: bool) -> list[bytes]:
    if old == len(leaves):
        return [] if whole else [root_of(leaves)]
    middle = _split(len(leaves))
    if old <= middle:
        return [*_subproof(leaves[:middle], old, whole=whole), root_of(leaves[middle:])]
    return [*_subproof(leaves[middle:], old - middle, whole=False), root_of(leaves[:middle])]


def consistency_proof(leaves: Sequence[bytes], old: int) -> list[bytes]:
    """RFC 6962 §2.1.2: that the tree over the first ``old`` leaves is a prefix of the tree over all."""
    if not 0 < old <= len(leaves):
        raise ValueError(f"no tree of {old} within a tree of {len(leaves)}")
    return _subproof(leaves, old, whole=True)


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """RFC 9162 §2.1.4.2: does the tree of ``new`` leaves begin with the tree of ``old`` leaves?"""
    if not 0 < old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root
