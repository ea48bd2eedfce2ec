"""Verbs that stop a loop and let it go on: halt, freeze."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from loopwright.cli.options import AsJson, WorkspaceOption, emit

__all__ = ["register"]

Reason = Annotated[str, typer.Option(help="Why, for the record; needed.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    for verb in (halt, freeze):
        app.command()(verb)


def halt(reason: Reason, workspace: WorkspaceOption = Path(), as_json: AsJson = False) -> None:
    """Stop the loop, wherever it runs; any one person may. Letting it go on takes a quorum (`resume`)."""
    from loopwright.govern.halt import halt as stop
    from loopwright.workspace import find

    _told(
        "halt",
        stop(find(workspace), reason),
        "every driver stops within ten seconds; `loopwright resume` asks to go on",
        as_json,
    )


def freeze(reason: Reason, workspace: WorkspaceOption = Path(), as_json: AsJson = False) -> None:
    """Let nothing be altered or collected as garbage, after an incident; any one person may. `unfreeze` takes the strict quorum."""
    from loopwright.govern.halt import freeze as stop
    from loopwright.workspace import find

    _told("freeze", stop(find(workspace), reason), "nothing is altered until persons lift it: `loopwright unfreeze`", as_json)


def _told(what: str, index: int, then: str, as_json: bool) -> None:
    if as_json:
        emit({"schema_version": 1, "kind": what, "leaf": index})
    else:
        sys.stdout.write(f"{what} is entry {index}; {then}\n")
