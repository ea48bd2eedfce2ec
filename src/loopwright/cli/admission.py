"""`loopwright check --admit`: are these tests worth anything? Each is tried on a right program and on mutants of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from loopwright.cli.options import emit
from loopwright.errors import RefusedError, UsageError
from loopwright.sandbox import Sandbox

__all__ = ["try_tests"]

_SCHEMA = 1


def try_tests(scripts: Sequence[tuple[Path, str]], reference: str, entry: str, sandbox: Sandbox, *, as_json: bool) -> None:
    """Print an admission a script, by path and text; exit 3 where one is refused.

    Raises:
        UsageError: the reference cannot be used as one.
    """
    from loopwright.verify.admission import admit

    try:
        admissions = admit([text for _, text in scripts], reference, entry, sandbox)
    except ValueError as error:
        raise UsageError(str(error), "--admit needs a right program, and --entry its function") from error
    for (path, _), admission in zip(scripts, admissions, strict=True):
        _show({"schema_version": _SCHEMA, "test": path.name, **asdict(admission)}, as_json=as_json)
    refused = sum(not admission.admitted for admission in admissions)
    if refused:
        sys.stderr.write(f"{refused} of {len(admissions)} tests are refused\n")
        raise typer.Exit(RefusedError.exit_code)


def _show(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit(told)
        return
    score = told["score"]
    share = f"  kills {told['killed']} of {told['mutants']} mutants ({score['low']:.0%}-{score['high']:.0%})" if score else ""
    why = f"  {told['reason']}" if told["reason"] else ""
    sys.stdout.write(f"{'ADMITTED' if told['admitted'] else 'REFUSED':<8} {told['test']}  {told['level']}{share}{why}\n")
