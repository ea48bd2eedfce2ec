"""What tests put on a record: a request that persons signed and that was carried out, without the ceremony around it."""

from __future__ import annotations

from typing import Any

from loopwright.ledger.acts import Request
from loopwright.run import now
from loopwright.types import Artifact, digest_value
from loopwright.workspace import Workspace


class Silent:
    def event(self, cycle, phase, step, facts):
        pass

    def progress(self, cycle, phase, done, total, unit):
        pass


def executed(workspace: Workspace, action: str, details: Any = None, subjects: tuple[Artifact, ...] = ()) -> Request:
    """Ask for an action and carry it out at once."""
    ledger = workspace.ledger()
    policy = digest_value("policy")
    asked = {
        "action": action,
        "details": details or {},
        "evidence": [],
        "policy": policy,
        "proposer": "somebody",
        "nonce": f"{ledger.size}",
        "checkpoint": {"size": ledger.size, "root": "root"},
        "requested_at": now(),
        "expires_at": "2099-01-01T00:00:00Z",
    }
    ledger.append("request", list(subjects), asked, role="person", event=f"request:{ledger.size}")
    request = next(reversed(workspace.state().acts.requests.values()))
    said = {"request": request.id, "action": action, "approvals": [], "executed_at": now()}
    ledger.append("execute", list(subjects), said, role="controller", event=f"execute:{ledger.size}")
    ledger.publish()
    ledger.close()
    return request
