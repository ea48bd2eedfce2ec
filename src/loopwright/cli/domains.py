"""`loopwright domain`: a folder that judges, to start from, and whether one of your own may judge."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from loopwright.cli.options import AsJson, emit
from loopwright.errors import RefusedError, UsageError

__all__ = ["register"]

_SCHEMA = 1
Place = Annotated[Path, typer.Argument(help="The folder.")]


def register(app: typer.Typer) -> None:
    """Add the verbs below ``domain``."""
    below = typer.Typer(help="Bring your own domain: a folder with tasks and a verifier.", no_args_is_help=True)
    below.command()(new)
    below.command()(check)
    app.add_typer(below, name="domain")


def new(folder: Place, as_json: AsJson = False) -> None:
    """Write a small domain that works into a new folder: tasks.jsonl and verifier.py."""
    from loopwright.domains.scaffold import scaffold

    scaffold(folder)
    if as_json:
        emit({"schema_version": _SCHEMA, "folder": str(folder)})
    else:
        sys.stdout.write(f"{folder} has tasks.jsonl and verifier.py. Next: loopwright domain check {folder}\n")


def check(
    folder: Place,
    samples: Annotated[int, typer.Option(min=1, help="Answers of a kind that are tried.")] = 50,
    seconds: Annotated[float, typer.Option(min=0.1, help="Limit for one answer.")] = 2.0,
    minimum_level: Annotated[str, typer.Option(help="Isolation below which nothing runs: SL1, SL2 or SL3.")] = "SL2",
    as_json: AsJson = False,
) -> None:
    """Try a folder domain: its split, its verifier in the sandbox, right, wrong and hostile answers; exit 3 where it may not judge."""
    from loopwright.domains.folder import Folder
    from loopwright.domains.trying import try_folder
    from loopwright.sandbox import Limits
    from loopwright.sandbox.pool import open_sandbox

    if minimum_level not in {"SL1", "SL2", "SL3"}:
        raise UsageError(f"no level {minimum_level!r}: SL1, SL2 or SL3", "loopwright domain check --help")
    try:
        domain = Folder(path=str(folder))
    except (TypeError, ValueError) as error:
        raise UsageError(str(error), f"mend {folder}") from error
    level: Any = minimum_level
    bad = 0
    with open_sandbox(level, 2, Limits(wall_seconds=seconds, cpu_seconds=max(1, round(seconds)))) as sandbox:
        for finding in try_folder(domain, sandbox, samples):
            bad += not finding.good
            if as_json:
                emit({"schema_version": _SCHEMA, "level": sandbox.level, **asdict(finding)})
            else:
                sys.stdout.write(f"{'ok ' if finding.good else 'BAD'} {finding.name}: {finding.said}\n")
    if bad:
        sys.stderr.write(f"{bad} findings are bad: {folder} may not judge yet\n")
        raise typer.Exit(RefusedError.exit_code)
    if not as_json:
        sys.stdout.write(f"use it: loopwright init LAB --set domain='{{name: folder, settings: {{path: {folder.name}}}}}'\n")
