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
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8501,
    address: Annotated[
        str, typer.Option(help="Address to listen on; another than this machine's own needs a sign-in.")
    ] = "127.0.0.1",
    secrets: Annotated[Path | None, typer.Option(help="Streamlit secrets file with [auth]: sign-in by OpenID Connect.")] = None,
    trust_header: Annotated[
        str | None, typer.Option(help="Header of a proxy in front that signs people in, for example X-Forwarded-Email.")
    ] = None,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Open the dashboard of a workspace, or of all workspaces right below a folder; on this machine alone unless people sign in."""
    import json

    from loopwright.cli.dashboard import serve as start
    from loopwright.workspace import find

    several = any((path / "ledger").is_dir() for path in workspace.iterdir()) if workspace.is_dir() else False
    root = workspace.resolve() if several and not (workspace / "loop.yaml").is_file() else find(workspace).root
    start(root, port, address, secrets, json.dumps({trust_header: "email"}) if trust_header else None)
