"""Verbs of persons: approve, propose."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from loopwright.cli.options import AsJson, WorkspaceOption, emit

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(approve)
    app.command()(propose)


def approve(
    what: Annotated[str, typer.Argument(help="A file (recipes/NAME.diff) or a sha256 digest.")],
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Sign exact bytes with the person's key. An approved recipe is tried by the next cycle."""
    from loopwright.govern.approvals import approve as sign
    from loopwright.workspace import find

    digest, index = sign(find(workspace), what, reason)
    if as_json:
        emit({"schema_version": 1, "digest": digest, "leaf": index})
    else:
        sys.stdout.write(f"approved {digest} (entry {index})\n")


def propose(
    name: Annotated[str, typer.Option(help="Name of the proposal: recipes/NAME.diff.")],
    workspace: WorkspaceOption = Path(),
) -> None:
    """Turn your edit of recipe.yaml into a proposal; approve it to have the next cycle try it."""
    from loopwright.govern.approvals import propose as write
    from loopwright.workspace import find

    path = write(find(workspace), name)
    sys.stdout.write(
        f"recipes/{path.name} is proposed. Next: git add recipes/{path.name} && git commit -m 'propose {name}' && "
        f"loopwright approve recipes/{path.name}\n"
    )
