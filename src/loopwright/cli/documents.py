"""Verbs that show the record to others: report, app."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from loopwright.cli.options import AsJson, WorkspaceOption, emit

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    report = typer.Typer(help="Documents drawn from the record.", no_args_is_help=True, rich_markup_mode=None)
    report.command()(build)
    report.callback()(_group)
    app.add_typer(report, name="report")
    app.command(name="app")(serve)


def _group() -> None:
    """Documents drawn from the record."""


def build(
    document: Annotated[str, typer.Argument(help="The document: cycle.")],
    cycle: Annotated[str, typer.Option(help="For example c0003.")],
    output: Annotated[Path | None, typer.Option(help="Directory; build/reports of the workspace by default.")] = None,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Write a document as an accessible PDF."""
    from loopwright.ledger.access import saw
    from loopwright.report import build as make
    from loopwright.workspace import find

    root = find(workspace).root
    made = make(root, document, cycle, output)
    saw(root, "report", f"{document} {cycle} {made.pdf_digest}")
    if as_json:
        emit(
            {
                "schema_version": 1,
                "pdf": str(made.pdf),
                "json": str(made.json),
                "digest": made.pdf_digest,
                "checkpoint": made.checkpoint,
            }
        )
    else:
        sys.stdout.write(f"{made.pdf}\n")


def serve(
    port: Annotated[int, typer.Option(help="Port on the loopback address.")] = 8501,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Open the dashboard of a workspace on the loopback address."""
    from loopwright.cli.dashboard import serve as start
    from loopwright.workspace import find

    start(find(workspace).root, port)
