"""One person stops a loop, or freezes its workspace. Both are entries that any driver sees, wherever it runs.

Neither needs the workspace lease, so both work while a driver holds it. What ends them is a request that enough persons sign:
``resume`` for halts, ``unfreeze`` for freezes.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from loopwright.errors import UsageError
from loopwright.run import now
from loopwright.supervisor import standing
from loopwright.types import Artifact
from loopwright.workspace import Workspace

__all__ = ["freeze", "halt", "not_frozen", "say"]


def halt(workspace: Workspace, reason: str) -> int:
    """Stop the loop; the entry's index. Every supervisor sees it within a second or two.

    Raises:
        UsageError: no reason is given.
    """
    return say(workspace, "halt", [], {"reason": _given(reason), "halted_at": now()})


def freeze(workspace: Workspace, reason: str) -> int:
    """Let nothing be altered or collected as garbage from now on; a running driver stops. The entry's index.

    Raises:
        UsageError: no reason is given.
    """
    return say(workspace, "freeze", [], {"reason": _given(reason), "frozen_at": now()})


def not_frozen(workspace: Workspace) -> None:
    """Before anything in a workspace is altered; HaltedError where a freeze stands. Reading and exporting do not ask."""
    acts = workspace.state().acts
    found = standing(acts)
    if acts.freezes and found is not None:
        raise found


def say(
    workspace: Workspace, kind: str, subjects: Sequence[Artifact], predicate: Mapping[str, Any], event: str | None = None
) -> int:
    """Append and publish what a person says; it is published before this returns, and so acknowledged.

    ``event``: what must be said only once; by default nothing is the same.
    """
    ledger = workspace.ledger()
    try:
        index = ledger.append(kind, subjects, predicate, role="person", event=event or f"{kind}:{uuid.uuid4().hex}")
        ledger.publish()
    finally:
        ledger.close()
    return index


def _given(reason: str) -> str:
    if not reason.strip():
        raise UsageError("a reason is needed: it is what whoever lifts this has to judge", "--reason 'what you saw'")
    return reason.strip()
