"""`loopwright alerts`, and the same look at the end of each cycle of a run."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loopwright.cli.options import AsJson, WorkspaceOption, emit

if TYPE_CHECKING:
    from loopwright.alerts import Kept
    from loopwright.plan import Plan
    from loopwright.workspace import Workspace

__all__ = ["Watch", "register"]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(alerts)


def alerts(
    send: Annotated[
        bool,
        typer.Option("--send", help="Send what stands and was not sent yet, to the addresses in .loopwright/alert-addresses."),
    ] = False,
    past: Annotated[bool, typer.Option("--all", help="Show those that are over, too.")] = False,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """What somebody should be called for, by the rules of the plan; the record is verified for it. A timer may call it with --send."""
    from loopwright.alerts.sent import send as send_them
    from loopwright.alerts.sent import unsent
    from loopwright.workspace import find

    found = find(workspace)
    plan = found.plan()
    kept = _look(found, plan, inspect=True)
    due = unsent(kept)
    took = send_them(found.root, plan.name, due) if send else 0
    shown = [one for one in kept if past or one.cleared_at is None]
    if as_json:
        emit(
            {"schema_version": 1, "alerts": [asdict(one) for one in shown], "sent": len(due) if took else 0, "addresses": took}
        )
        return
    for one in shown:
        over = f" (over since {one.cleared_at})" if one.cleared_at else ""
        sys.stdout.write(f"{one.level:<9} {one.raised_at}  {one.text}{over}\n")
    if not shown:
        sys.stdout.write("no alert stands\n")
    if send:
        sys.stdout.write(f"sent {len(due)} to {took} addresses\n" if took else "nothing new to send\n")


def _look(workspace: Workspace, plan: Plan, *, inspect: bool) -> tuple[Kept, ...]:
    """Hold the rules against the record and write down what is new and what is over."""
    from loopwright.alerts import alerts_of, keep, look

    seen = look(workspace.root, plan, inspect=inspect)
    return keep(workspace.root, alerts_of(seen, plan.alerts), seen.now, () if inspect else ("integrity",))


class Watch:
    """Looks when a cycle is committed and when the run ends, and sends where there are addresses. Whatever goes wrong fails no run."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.complaint = ""
        """Why something was not written or sent, the last time."""

    def event(self, cycle: str, phase: str, step: str, facts: Mapping[str, Any]) -> None:
        """A cycle's last word is its commit."""
        if step == "committed":
            self.attempt(inspect=False)

    def progress(self, cycle: str, phase: str, done: int, total: int, unit: str) -> None:
        """Nothing to tell."""

    def ended(self) -> None:
        """The run is over, well or not: the record is verified as well."""
        self.attempt(inspect=True)
        if self.complaint:
            sys.stderr.write(f"alerts: {self.complaint}\n")

    def attempt(self, *, inspect: bool) -> None:
        """Look, keep, send."""
        from loopwright.alerts.sent import addresses_file, send, unsent

        root = self._workspace.root
        try:
            plan = self._workspace.plan()
            due = unsent(_look(self._workspace, plan, inspect=inspect))
            if due and addresses_file(root).exists():
                send(root, plan.name, due)
        except Exception as error:  # noqa: BLE001  # a full disk, a dead server, a library: the loop goes on
            self.complaint = getattr(error, "message", "") or type(error).__name__  # never its text: an address may stand in it
        else:
            self.complaint = ""
