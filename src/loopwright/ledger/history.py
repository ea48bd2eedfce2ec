"""A fork's past: the cycles that a fork begins with, as ``import`` statements.

An entry holds at most 65,535 bytes, so a long past takes several statements; each names the champion and the last cycle
that the fork begins with, and folding all of them gives back the cycles as they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loopwright.ledger.fold import CycleRecord, LoopState
from loopwright.types import canonical

__all__ = ["past"]

_BYTES = 40_000
"""Of canonical JSON in one statement: in base64, with the envelope around it, it stays below an entry's limit."""

_CYCLE = ("cycle", "parent", "prev", "seed", "opened_at", "closed_at", "action", "recipe", "plan", "commit")
_PHASE = ("phase", "key", "attempt", "inputs", "summary", "started_at", "finished_at", "seconds", "environment", "config")


def _told(cycle: CycleRecord) -> dict[str, Any]:
    phases = [{name: getattr(record, name) for name in _PHASE} for record in cycle.phases.values()]
    same = {name: getattr(cycle, name) for name in _CYCLE}
    code = {name: digest for name, digest in cycle.pins.items() if name != "lock"}
    return {**same, "champion": cycle.champion_after, "code": code, "lock": cycle.pins["lock"], "phases": phases}


def _brought(cycle: CycleRecord) -> list[dict[str, str]]:
    return [
        {"cycle": cycle.cycle, "phase": record.phase, "kind": artifact.kind, "path": artifact.path, "digest": artifact.digest}
        for record in cycle.phases.values()
        for artifact in record.artifacts
    ]


def past(state: LoopState, last: str) -> Iterator[dict[str, Any]]:
    """Predicates of the ``import`` statements that bring the closed cycles up to ``last`` into a fork, in order.

    KeyError where no cycle has that name. The champion is the one after ``last``; failed attempts stay behind.
    """
    names = list(state.cycles)
    ends = {"champion": state.cycles[last].champion_after, "last": last}
    chosen = [state.cycles[name] for name in names[: names.index(last) + 1]]
    cycles: list[dict[str, Any]] = []
    artifacts: list[dict[str, str]] = []
    size = 0
    for cycle in chosen:
        told, brought = _told(cycle), _brought(cycle)
        more = len(canonical([told, brought]))
        if cycles and size + more > _BYTES:
            yield {"cycles": cycles, "artifacts": artifacts, **ends}
            cycles, artifacts, size = [], [], 0
        cycles.append(told)
        artifacts += brought
        size += more
    yield {"cycles": cycles, "artifacts": artifacts, **ends}
