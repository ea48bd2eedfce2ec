"""The whole record as a graph, and what its recalls reach, kept as long as the record does not grow.

Only what asks about everything at once needs it: what a recall would reach, and whether something shown is tainted where anything was recalled.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import RLock
from typing import Any

from loopwright.index import Index
from loopwright.ledger.fold import LoopState
from loopwright.ledger.taint import Taint, taint
from loopwright.trace.graph import Graph, graph_of

__all__ = ["graph", "kept", "tainted"]

_KEPT: dict[tuple[Any, ...], Any] = {}
_LOCK = RLock()
_MOST = 4


def kept(name: Any, index: Index, root: Path, make: Callable[[], Any]) -> Any:
    """What ``make`` gave under this name for the record as it is now."""
    key = (name, str(root), index.told["workspace"], index.told["size"], index.told["latest"])
    with _LOCK:  # two visitors wait for one answer
        if key not in _KEPT:
            for old in list(_KEPT)[: max(0, len(_KEPT) - _MOST + 1)]:
                del _KEPT[old]
            made = make()  # may keep something itself
            _KEPT[key] = made
        return _KEPT[key]


def graph(index: Index, root: Path) -> Graph:
    """The graph of everything: seconds on a long record."""
    return kept("graph", index, root, lambda: graph_of(list(index.statements(range(index.told["size"])))))


def tainted(index: Index, root: Path, state: LoopState) -> Taint:
    """What all recalls reach; ``state`` knows them. Nothing is read where there are none."""
    if not state.acts.recalls:
        return Taint(roots=frozenset(), reached=frozenset())
    return kept("taint", index, root, lambda: taint(graph(index, root).state))
