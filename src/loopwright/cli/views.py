"""Verbs that look: status, show, verify, doctor."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from loopwright.cli.options import AsJson, WorkspaceOption, emit

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    for verb in (status, show, verify, doctor):
        app.command()(verb)


def status(workspace: WorkspaceOption = Path(), as_json: AsJson = False) -> None:
    """Where the loop stands: champion, cycles with scores and decisions, how fast it tightens."""
    from loopwright.cli.tables import print_overview
    from loopwright.ledger.overview import overview
    from loopwright.workspace import find

    seen = overview(find(workspace).state())
    if as_json:
        emit(seen)
    else:
        print_overview(seen)


def show(
    cycle: Annotated[str, typer.Argument(help="For example c0003.")],
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """One cycle: decision, scores by level, rows with reasons, who checked the builder, time by phase, artifacts."""
    from loopwright.checks import checks
    from loopwright.cli.tables import print_cycle
    from loopwright.errors import UsageError
    from loopwright.ledger.overview import cycle_row
    from loopwright.workspace import find

    state = find(workspace).state()
    record = state.cycles.get(cycle)
    if record is None:
        known = f"{next(iter(state.cycles))} to {list(state.cycles)[-1]}" if state.cycles else "none yet"
        raise UsageError(f"there is no cycle {cycle} (there are: {known})", "`loopwright status`")
    artifacts = [
        {"phase": phase, "kind": item.kind, "digest": item.digest, "path": item.path, "leaf": done.index}
        for phase, done in record.phases.items()
        for item in done.artifacts
    ]
    row = {"schema_version": 1, **cycle_row(record), "checks": checks(state, record), "artifacts": artifacts}
    if as_json:
        emit(row)
    else:
        print_cycle(row)


def verify(workspace: WorkspaceOption = Path(), as_json: AsJson = False) -> None:
    """Check the record offline: log, signatures, manifests, DVC objects. Exit 5 names what is wrong."""
    from loopwright.errors import IntegrityError
    from loopwright.ledger.verify import verify as check
    from loopwright.workspace import find

    report = check(find(workspace).root)
    findings = [{"code": found.code, "where": found.where, "message": found.message} for found in report.findings]
    if as_json:
        emit({"schema_version": 1, "ok": not findings, "leaves": report.leaves, "findings": findings})
    else:
        for found in findings:
            sys.stdout.write(f"{found['code']}: {found['where']}: {found['message']}\n")
    if findings:
        shown = findings[0]
        raise IntegrityError(
            f"{len(findings)} things differ from the record, first {shown['where']}: {shown['message']}",
            "a file: `dvc checkout PATH` or `git checkout PATH` brings the recorded one back; the log: compare with a copy",
        )
    if not as_json:
        sys.stdout.write(f"the record is whole: {report.leaves} entries, every signature, manifest and object as recorded\n")


def doctor(as_json: AsJson = False) -> None:
    """What this machine has of what the loop can use."""
    from loopwright.cli.doctor import examine

    found = examine()
    if as_json:
        emit({"schema_version": 1, "checks": found})
    else:
        for check in found:
            sys.stdout.write(f"{'ok  ' if check['ok'] else 'LACK'} {check['name']}: {check['detail']}\n")
