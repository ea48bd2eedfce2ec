"""Options that many verbs share, and how results are written."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["AsJson", "Set", "WorkspaceOption", "emit", "pairs"]

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", "-w", envvar="LOOPWRIGHT_WORKSPACE", help="The workspace; here by default.")
]
Set = Annotated[list[str] | None, typer.Option("--set", help="Set a key of the plan: KEY=VALUE, dotted, YAML value.")]


def emit(value: Any) -> None:
    """Write a result as JSON to stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def pairs(settings: list[str] | None) -> dict[str, Any]:
    """``["a.b=3"]`` -> ``{"a.b": 3}``; PlanError for anything that is no pair."""
    import yaml

    from loopwright.errors import PlanError

    result = {}
    for setting in settings or []:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise PlanError(f"--set {setting}: allowed: KEY=VALUE", "for example --set generator.tasks=600")
        result[key] = yaml.safe_load(text)
    return result
