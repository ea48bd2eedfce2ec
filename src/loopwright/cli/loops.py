"""Verbs that turn the loop or steer it: run, phase, plan, rollback, abandon, logs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from loopwright.cli.options import AsJson, WorkspaceOption, emit

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    for verb in (run, plan, phase, rollback, abandon, logs):
        app.command()(verb)


def run(
    cycles: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many more cycles; else at the plan's number.")
    ] = None,
    until_promoted: Annotated[bool, typer.Option(help="Stop at the first promotion; exit 3 where there is none.")] = False,
    detach: Annotated[bool, typer.Option(help="Run in the background; `loopwright logs --follow` shows it.")] = False,
    who: Annotated[str | None, typer.Option("--as", help="Who launches it, besides the persons whose keys lie here.")] = None,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Turn the loop, from where it stands. A finished phase is never run again, so resume is rerun."""
    from loopwright.cli.drive import detached, drive
    from loopwright.workspace import find

    found = find(workspace)
    if detach:
        process, log = detached(found, cycles, until_promoted=until_promoted, launcher=who)
        if as_json:
            emit({"schema_version": 1, "process": process, "log": str(log)})
            return
        sys.stdout.write(f"process {process} turns {found.root.name}; `loopwright logs --follow` shows {log.name}\n")
    else:
        drive(found, cycles=cycles, until=None, until_promoted=until_promoted, as_json=as_json, launcher=who)


def plan(workspace: WorkspaceOption = Path(), as_json: AsJson = False) -> None:
    """What a launch will cost: steps, tokens, hours, disk, FLOP; estimates, with their method."""
    from loopwright.cli.estimate import estimate, show
    from loopwright.workspace import find

    cost = estimate(find(workspace))
    if as_json:
        emit(cost)
    else:
        show(cost)


def phase(
    name: Annotated[str, typer.Argument(help="seed, generate, verify, merge, train, evaluate, examine or decide.")],
    cycle: Annotated[str, typer.Option(help="For example c0003.")],
    workspace: WorkspaceOption = Path(),
) -> None:
    """Replay one phase from its recorded configuration and inputs: no ledger, no key, no git. `dvc repro` calls this."""
    from loopwright.replay import replay

    replay(workspace.resolve(), name, cycle)


def rollback(
    cycle: Annotated[str, typer.Argument(help="The cycle whose model becomes the champion again.")],
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Make an earlier promoted model the champion again; the next cycle continues from it."""
    from loopwright.govern.steering import rollback as make
    from loopwright.workspace import find

    champion = make(find(workspace), cycle, reason)
    if as_json:
        emit({"schema_version": 1, "champion": champion})
    else:
        sys.stdout.write(f"the champion is {champion} again; the next cycle continues from it\n")


def abandon(
    reason: Annotated[str, typer.Option(help="Why, for the record.")],
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Close the open cycle as rejected, where it cannot be finished."""
    from loopwright.govern.steering import abandon as close
    from loopwright.workspace import find

    closed = close(find(workspace), reason)
    if as_json:
        emit({"schema_version": 1, "closed": closed, "decision": "reject"})
    else:
        sys.stdout.write(f"{closed} is closed as rejected\n")


def logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more lines until the run ends.")] = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """The lines of the last run."""
    from loopwright.cli.logs import tail
    from loopwright.workspace import find

    tail(find(workspace).private / "logs", follow=follow)
