"""One person stops a loop, or freezes its workspace. Both are entries that any driver sees, wherever it runs.

Neither needs the workspace lease, so both work while a driver holds it. What ends them is a request that enough persons sign:
``resume`` for halts, ``unfreeze`` for freezes.
"""

from __future__ import annotations

from loopwright.clock import now
from loopwright.errors import UsageError
from loopwright.govern.requests import Desk
from loopwright.supervisor import standing
from loopwright.workspace import Workspace

__all__ = ["freeze", "halt", "not_frozen"]


def halt(desk: Desk, reason: str, name: str | None = None) -> int:
    """Stop the loop; the entry's index. Every supervisor sees it within a second or two.

    Raises:
        UsageError: no reason is given, or nobody of this name has a key here.
    """
    return desk.say("halt", [], {"reason": _given(reason), "halted_at": now()}, name)


def freeze(desk: Desk, reason: str, name: str | None = None, incident: str | None = None) -> int:
    """Let nothing be altered or collected as garbage from now on; a running driver stops. The entry's index.

    ``incident``: the id of the incident whose causes have to stay findable (Art. 73(6) of the EU AI Act).

    Raises:
        UsageError: no reason is given, or nobody of this name has a key here.
    """
    about = {} if incident is None else {"incident": incident}
    index = desk.say("freeze", [], {"reason": _given(reason), "frozen_at": now(), **about}, name)
    desk.cover()
    return index


def not_frozen(workspace: Workspace) -> None:
    """Before anything in a workspace is altered; HaltedError where a freeze stands. Reading and exporting do not ask."""
    acts = workspace.state().acts
    found = standing(acts)
    if acts.freezes and found is not None:
        raise found


def _given(reason: str) -> str:
    if not reason.strip():
        raise UsageError("a reason is needed: it is what whoever lifts this has to judge", "--reason 'what you saw'")
    return reason.strip()
