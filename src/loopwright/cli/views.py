"""Verbs that look: status, show, doctor."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from loopwright.cli.options import AsJson, WorkspaceOption, emit

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    for verb in (status, show, doctor):
        app.command()(verb)


def status(workspace: WorkspaceOption = Path(), as_json: AsJson = False) -> None:
    """Where the loop stands: champion, cycles with scores and decisions, how fast it tightens, what halts it, budgets, field."""
    from loopwright.cli.tables import print_overview, print_standing
    from loopwright.govern.status import status_of
    from loopwright.workspace import find

    seen = status_of(find(workspace))
    if as_json:
        emit(seen)
    else:
        print_overview(seen)
        print_standing(seen)


def show(
    cycle: Annotated[str, typer.Argument(help="For example c0003.")],
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """One cycle: decision, scores by level, rows with reasons, who checked the builder, time by phase, artifacts."""
    from loopwright.checks import checks
    from loopwright.cli.tables import print_cycle
    from loopwright.errors import UsageError
    from loopwright.ledger.access import saw
    from loopwright.ledger.overview import cycle_row
    from loopwright.workspace import find

    found = find(workspace)
    state = found.state()
    record = state.cycles.get(cycle)
    if record is None:
        known = f"{next(iter(state.cycles))} to {list(state.cycles)[-1]}" if state.cycles else "none yet"
        raise UsageError(f"there is no cycle {cycle} (there are: {known})", "`loopwright status`")
    artifacts = [
        {"phase": phase, "kind": item.kind, "digest": item.digest, "path": item.path, "leaf": done.index}
        for phase, done in record.phases.items()
        for item in done.artifacts
    ]
    saw(found.root, "show", cycle)
    row = {"schema_version": 1, **cycle_row(record), "checks": checks(state, record), "artifacts": artifacts}
    if as_json:
        emit(row)
    else:
        print_cycle(row)


def doctor(as_json: AsJson = False) -> None:
    """What this machine has of what the loop can use."""
    from loopwright.cli.doctor import examine

    found = examine()
    if as_json:
        emit({"schema_version": 1, "checks": found})
    else:
        for check in found:
            sys.stdout.write(f"{'ok  ' if check['ok'] else 'LACK'} {check['name']}: {check['detail']}\n")
