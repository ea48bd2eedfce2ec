"""The command line: thin verbs. stdout is the result, stderr is progress; errors say what, where and what next.

Exit codes: 0 done · 1 failed · 2 usage or plan · 3 the answer is no · 4 waiting for a person · 5 integrity · 6 halted ·
7 another driver holds the lease · 130 interrupted · 143 SIGTERM. No traceback without ``--debug``.
"""

from __future__ import annotations

import errno
import json
import sys

import typer

from loopwright.cli import (
    alerts,
    check,
    documents,
    domains,
    govern,
    incident,
    keys,
    labels,
    launch,
    letters,
    loops,
    models,
    people,
    proofs,
    push,
    record,
    trace,
    views,
    witness,
    workspaces,
)
from loopwright.errors import LoopwrightError

__all__ = ["app", "main"]

app = typer.Typer(
    name="loopwright",
    help="Recursive-improvement loops whose every step is recorded, checked and accountable.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    rich_markup_mode=None,
)
MODULES = (
    workspaces, loops, push, launch, views, alerts, check, domains, models, people, letters, labels, keys, govern, incident, record,
    proofs, witness, trace, documents,
)  # fmt: skip
for module in MODULES:
    module.register(app)


def main() -> None:
    """Entry point of ``loopwright``."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(args=arguments, prog_name="loopwright")
    except LoopwrightError as error:
        if debug:
            raise
        _say(error.message, error.next_step, error.exit_code, "--json" in arguments)
    except OSError as error:
        if debug or error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        _say(f"disk full: {error}", "free some space, then type the same again", 1, "--json" in arguments)


def _say(message: str, next_step: str, code: int, as_json: bool) -> None:
    if as_json:
        error = {"message": message, "next_step": next_step, "exit_code": code}
        sys.stdout.write(json.dumps({"schema_version": 1, "error": error}) + "\n")
    sys.stderr.write(f"error: {message}\n")
    if next_step:
        sys.stderr.write(f"  next: {next_step}\n")
    sys.exit(code)
