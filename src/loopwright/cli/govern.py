"""Verbs of those who answer for a loop: halt, freeze, envelope, observe, gc."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from loopwright.cli.options import AsJson, WorkspaceOption, emit
from loopwright.cli.people import As, PassphraseFile, at_desk

__all__ = ["register"]

Reason = Annotated[str, typer.Option(help="Why, for the record; needed.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    for verb in (halt, freeze, envelope, observe, gc):
        app.command()(verb)


def halt(
    reason: Reason,
    who: As = None,
    passphrase_file: PassphraseFile = None,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Stop the loop, wherever it runs; any one person may. Letting it go on takes a quorum (`resume`)."""
    from loopwright.govern.halt import halt as stop

    with at_desk(workspace, passphrase_file) as desk:
        index = stop(desk, reason, who)
    _told("halt", index, "every driver stops within ten seconds; `loopwright resume` asks to go on", as_json)


def freeze(
    reason: Reason,
    who: As = None,
    passphrase_file: PassphraseFile = None,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Let nothing be altered or collected as garbage, after an incident; any one person may. `unfreeze` takes the strict quorum."""
    from loopwright.govern.halt import freeze as stop

    with at_desk(workspace, passphrase_file) as desk:
        index = stop(desk, reason, who)
    _told("freeze", index, "nothing is altered until persons lift it: `loopwright unfreeze` asks for that", as_json)


def envelope(
    draft: Annotated[bool, typer.Option("--draft", help="Print one that allows no change, to start from.")] = False,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """The pre-determined change envelope: what is in force, and whether envelope.yaml is that."""
    from loopwright.govern.envelope import draft_of, in_force
    from loopwright.workspace import find

    found = find(workspace)
    if draft:
        sys.stdout.write(draft_of(found))
        return
    force = in_force(found)
    if as_json:
        emit({"schema_version": 1, **force})
    else:
        sys.stdout.write(f"envelope in force: {force['digest'] or 'none'}; envelope.yaml: {force['file']}\n")


def observe(
    file: Annotated[Path, typer.Argument(help="YAML or JSON: model, metric, value, low, high, n, period, source.")],
    who: As = None,
    passphrase_file: PassphraseFile = None,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Record a result from the field, signed; `status` shows the gap to the laboratory, and the gate can use it."""
    from loopwright.govern.observe import observe as record

    with at_desk(workspace, passphrase_file) as desk:
        index = record(desk, file, who)
    _told("observation", index, "`loopwright status` shows the gap to the laboratory", as_json)


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be kept and removed, and remove nothing.")] = False,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Remove data that nothing needs any more from DVC's cache; retention, recalls, open requests and freezes are honoured."""
    from dataclasses import asdict

    from loopwright.govern.gc import gc as collect
    from loopwright.workspace import find

    found = collect(find(workspace), dry_run=dry_run)
    if as_json:
        emit({"schema_version": 1, "dry_run": dry_run, **asdict(found)})
        return
    for item in found.kept:
        sys.stdout.write(f"kept     {item.path or 'objects without a name'}  {item.bytes:,} bytes: {item.why}\n")
    word = "would go" if dry_run else "removed "
    for item in found.removed:
        sys.stdout.write(f"{word} {item.path or 'objects without a name'}  {item.bytes:,} bytes\n")
    total = sum(item.bytes for item in found.removed)
    signed = f"; entries {', '.join(map(str, found.leaves))}" if found.leaves else ""
    sys.stdout.write(f"{len(found.removed)} artifacts, {total:,} bytes {'would be ' if dry_run else ''}removed{signed}\n")


def _told(what: str, index: int, then: str, as_json: bool) -> None:
    if as_json:
        emit({"schema_version": 1, "kind": what, "leaf": index})
    else:
        sys.stdout.write(f"{what} is entry {index}; {then}\n")
