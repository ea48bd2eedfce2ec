"""What waits for persons: the one answer that status, alerts, the daily digest and every page give."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from loopwright.consent.matters import force_now
from loopwright.ledger.acts import Request
from loopwright.ledger.fold import LoopState
from loopwright.ledger.quorum import Standing, standing
from loopwright.plan import Plan

__all__ = ["Waiting", "alive", "waiting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A request that is not over."""

    request: Request
    standing: Standing
    """``open``: persons can still answer it; ``granted``: a run carries it out."""


def waiting(root: Path, plan: Plan, state: LoopState, at: str) -> tuple[Waiting, ...]:
    """`alive`, weighed against what lies at ``root`` now; ``at`` is RFC 3339."""
    return alive(
        state.acts.requests.values(),
        lambda one: standing(one, state, force_now(root, plan, state, one), at),
        max(at, state.latest),
    )


def alive(requests: Iterable[Request], stands: Callable[[Request], Standing], latest: str) -> tuple[Waiting, ...]:
    """Those that persons can still answer, or have granted, oldest first.

    A planted one looks like all others until it is revealed. What is over by the clock is not weighed: it may be long past.
    """
    found = (
        Waiting(request=one, standing=stands(one))
        for one in requests
        if one.executed is None and one.canary is None and one.said["expires_at"] > latest
    )
    return tuple(one for one in found if one.standing.status in {"open", "granted"})
