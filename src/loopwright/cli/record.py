"""Verbs about the record's database: record rebuild."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from loopwright.cli.options import AsJson, WorkspaceOption, emit

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    record = typer.Typer(help="The record's database.", no_args_is_help=True, rich_markup_mode=None)
    record.command()(rebuild)
    record.callback()(_group)
    app.add_typer(record, name="record")


def _group() -> None:
    """The record's database."""


def rebuild(workspace: WorkspaceOption = Path(), as_json: AsJson = False) -> None:
    """Build the database anew from ledger/, after checking that; the old one is set aside, not removed."""
    from loopwright.ledger.inspection import inspect
    from loopwright.ledger.recovery import rebuild as build
    from loopwright.workspace import find

    root = find(workspace).root
    kept = build(root)
    leaves = inspect(root).leaves
    if as_json:
        emit({"schema_version": 1, "leaves": leaves, "kept": kept})
    else:
        sys.stdout.write(f"the database is built again from ledger/: {leaves} entries. The old one: {kept}\n")
