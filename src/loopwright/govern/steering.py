"""What a person does to a loop from outside: roll back, abandon. Each is an entry and, when the driver next turns, a commit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loopwright.clock import now
from loopwright.errors import UsageError
from loopwright.govern.halt import not_frozen
from loopwright.ledger.taint import refuse
from loopwright.turn import close_abandoned
from loopwright.workspace import Workspace

__all__ = ["abandon", "rollback"]


def rollback(workspace: Workspace, cycle: str, reason: str) -> str:
    """Make an earlier promoted model the champion again; returns its cycle.

    Raises:
        HaltedError: the workspace is frozen.
        UsageError: the cycle promoted nothing, is the champion already, or a cycle is open.
        LeaseHeld: a driver is at work.
    """
    ledger = workspace.ledger()
    try:
        with ledger.lease():
            not_frozen(workspace)
            state = workspace.state()
            record = state.cycles.get(cycle)
            promoted = ", ".join(state.promoted) or "none"
            if record is None or cycle not in state.promoted:
                raise UsageError(f"{cycle} promoted no model (promoted: {promoted})", "choose one of them")
            if state.open is not None:
                raise UsageError(
                    f"cycle {state.open} is open", "finish it (`loopwright run --cycles 1`) or `loopwright abandon` it"
                )
            if state.champion == cycle:
                raise UsageError(f"{cycle} is the champion already", "`loopwright status`")
            refuse(state, cycle, None, f"a rollback to {cycle}")
            predicate: Mapping[str, Any] = {"cycle": cycle, "from": state.champion, "reason": reason, "rolled_back_at": now()}
            event = f"rollback:{cycle}:{state.leaves}"
            model = [item for done in record.phases.values() for item in done.artifacts if item.kind == "model"]
            ledger.append("rollback", model, predicate, role="controller", event=event)
            ledger.publish()
    finally:
        ledger.close()
    return cycle


def abandon(workspace: Workspace, reason: str) -> str:
    """Close the open cycle as rejected, without a model: the way out when it cannot be finished. Returns its name.

    Raises:
        HaltedError: the workspace is frozen.
        UsageError: no cycle is open, or it is the first, to which there is no before.
        LeaseHeld: a driver is at work.
    """
    ledger = workspace.ledger()
    try:
        with ledger.lease():
            not_frozen(workspace)
            return close_abandoned(workspace.root, ledger, reason)
    finally:
        ledger.close()
