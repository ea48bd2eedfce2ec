"""Which workspaces there are to look at: one, or all of a folder. Where the app was started says so; no page can name another path."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from loopwright.ledger.location import DATABASE

__all__ = ["WORKSPACE", "is_workspace", "places", "start"]

WORKSPACE = "LOOPWRIGHT_WORKSPACE"


def start() -> Path:
    """The first argument after ``--``, or ``LOOPWRIGHT_WORKSPACE``, or the current folder."""
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get(WORKSPACE, ".")
    return Path(given).expanduser().resolve()


def is_workspace(root: Path) -> bool:
    """It has a record, published or not, or names the database that has it."""
    return (
        (root / "ledger").is_dir()
        or ((root / ".loopwright").is_dir() and (root / "loop.yaml").is_file())
        or (root / DATABASE).is_file()
    )


def places(given: Path) -> Mapping[str, Path]:
    """Workspaces by the name of their folder: the given one, or those right below it; the given one where there is none at all."""
    if is_workspace(given) or not given.is_dir():
        return {given.name: given}
    below = {path.name: path for path in sorted(given.iterdir()) if not path.name.startswith(".") and is_workspace(path)}
    return below or {given.name: given}
