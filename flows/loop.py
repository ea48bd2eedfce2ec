"""Cycles one after the other, until as many are closed as were asked for."""

from __future__ import annotations

from flows.cycle import cycle, seed
from loopwright.run import Run
from loopwright.turn import turn, upcoming

__all__ = ["loop"]


def loop(run: Run, until: int) -> None:
    """Turn until cycle number ``until`` is closed. The plan of a cycle is resolved when the cycle begins."""
    for name in upcoming(run, until):
        with turn(run, name) as (resolved, state):
            (seed if name == "c0000" else cycle)(resolved, state, run)
