"""What persons of a demonstration do about a loop, for real: requests that are signed and carried out, halts and freezes."""

from __future__ import annotations

from typing import Any

from loopwright.govern import halt as halting
from loopwright.govern.requests import Desk
from loopwright.ledger.acts import Request
from loopwright.workspace import Workspace


class Silent:
    def event(self, cycle, phase, step, facts):
        pass

    def progress(self, cycle, phase, done, total, unit):
        pass


def nobody(what: str) -> bytes:
    """A demonstration's keys are plain files: no passphrase is ever asked for."""
    raise AssertionError(what)


def asked(workspace: Workspace, action: str, details: Any = None) -> Request:
    """A request of the operator's."""
    with Desk(workspace, nobody) as desk:
        made = desk.ask(action, details or {}, "operator")
        return desk.consent.state().acts.requests[made]


def executed(workspace: Workspace, action: str, details: Any = None) -> Request:
    """Ask for an action, have two others sign it, and carry it out."""
    request = asked(workspace, action, details)
    with Desk(workspace, nobody) as desk:
        for person in ("owner", "safety"):
            desk.answer(request, approves=True, name=person, reason="seen")
        desk.consent.carry_out(request.id)
    return request


def halt(workspace: Workspace, reason: str) -> int:
    with Desk(workspace, nobody) as desk:
        return halting.halt(desk, reason)


def freeze(workspace: Workspace, reason: str) -> int:
    with Desk(workspace, nobody) as desk:
        return halting.freeze(desk, reason)
