"""A cycle once more, in a clean clone and from the record alone: does every phase give the bytes that were signed?

The clone is git's at the cycle's commit, its data are links to DVC's objects, answers of a model elsewhere those that were
kept, and each phase gets its recorded configuration and its recorded inputs, both compared with the signed statement first. So a
phase is judged by itself, whatever came before it, and the first that differs is named. The verdict is signed by the controller; it says on which machine and with which code it was reached.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loopwright.clock import now
from loopwright.endpoint.cache import KEPT
from loopwright.errors import InfraError, IntegrityError, LoopwrightError, UsageError
from loopwright.ledger.fold import CycleRecord, LoopState, PhaseRecord, fold
from loopwright.ledger.statement import Statement
from loopwright.plan import Plan
from loopwright.replay import recorded_plan, replay
from loopwright.store import git
from loopwright.store.artifacts import check, manifest_of, read_manifest
from loopwright.trace.compare import Comparison, Tolerance, compare
from loopwright.trace.environment import differences, here, recorded
from loopwright.types import Artifact, digest_bytes
from loopwright.workspace import Workspace, commit_of

__all__ = ["clean_clone", "reproduce"]


def reproduce(
    workspace: Workspace,
    cycle: str,
    phases: Sequence[str] = (),
    tolerance: Tolerance | None = None,
    progress: Callable[[str], None] = lambda _said: None,
) -> dict[str, Any]:
    """Run the phases of a closed cycle again (all, or those named), compare, sign what was found; the answer.

    ``verdict`` is the worst of all: ``identical``, ``within``, ``different`` or ``failed`` (a phase could not run at all).

    Raises:
        UsageError: no such closed cycle, or it has no such phase.
        IntegrityError: a recorded configuration or input is not what the statement says.
    """
    ledger = workspace.ledger()
    try:
        statements = list(ledger.statements())
        state, limits = fold(statements), tolerance or Tolerance()
        record = _closed(state, cycle, phases)
        chosen = [done for name, done in record.phases.items() if name in phases or not phases]
        with clean_clone(workspace, state, cycle) as root:
            plan = _plan(root, chosen[0], cycle)
            found = [one for done in chosen for one in _again(root, record, done, statements, limits, progress)]
            facts = {"differs": differences(recorded(record), at := here(root, plan)), "here": at}
        worst = max((one.verdict for one in found), key=_WORSE.index)
        answer = {
            "cycle": cycle,
            "verdict": worst,
            "tolerance": asdict(limits),
            "outcomes": [one.plain() for one in found],
            "environment": facts,
            "reproduced_at": now(),
        }
        subjects = [item for done in chosen for item in done.artifacts]
        event = f"reproduction:{cycle}:{answer['reproduced_at']}:{os.getpid()}"
        entry = ledger.append("reproduction", subjects, answer, role="controller", event=event)
        ledger.publish()
        return {"schema_version": 1, **answer, "entry": entry}
    finally:
        ledger.close()


_WORSE = ("identical", "within", "different", "failed")


@contextmanager
def clean_clone(workspace: Workspace, state: LoopState, cycle: str) -> Iterator[Path]:
    """The workspace as it was when ``cycle`` ended, in a folder of its own that goes away afterwards; data are links."""
    root = workspace.private / "reproduce" / f"{cycle}-{os.getpid()}"
    shutil.rmtree(root, ignore_errors=True)
    try:
        git.clone(workspace.root, root, commit_of(workspace, state, cycle))
        from loopwright.store.dvc import DvcStore  # slow to import, and only here

        store = DvcStore.share(root, workspace.root, root / ".loopwright" / "remote")
        try:
            store.checkout()
        finally:
            store.close()
        if (workspace.root / KEPT).is_dir():  # a model elsewhere is not asked again
            shutil.copytree(workspace.root / KEPT, root / KEPT, copy_function=os.link)
        yield root
    finally:
        _remove(root)


def _remove(root: Path) -> None:
    """Outputs are in read-only folders while they are DVC's."""
    for folder, _, _ in os.walk(root):
        Path(folder).chmod(0o755)
    shutil.rmtree(root, ignore_errors=True)


def _closed(state: LoopState, cycle: str, phases: Sequence[str]) -> CycleRecord:
    record = state.cycles.get(cycle)
    if record is None or record.closed_at is None or not record.phases:
        known = ", ".join(name for name, each in state.cycles.items() if each.closed_at) or "none"
        raise UsageError(f"{cycle} is no finished cycle (finished: {known})", "`loopwright status`")
    unknown = [name for name in phases if name not in record.phases]
    if unknown:
        raise UsageError(f"{cycle} has no phase {unknown[0]!r}", f"it has: {', '.join(record.phases)}")
    return record


def _plan(root: Path, done: PhaseRecord, cycle: str) -> Plan:
    return recorded_plan(root, json.loads((root / f"cycles/{cycle}/config/{done.phase}.json").read_bytes()))


def _again(
    root: Path,
    record: CycleRecord,
    done: PhaseRecord,
    statements: Sequence[Statement],
    limits: Tolerance,
    progress: Callable[[str], None],
) -> list[Comparison]:
    """One phase: its inputs as recorded, its outputs set aside, the phase, the comparison, and the recorded outputs put back."""
    _as_signed(root, record.cycle, done, statements[done.index])
    aside = root / ".loopwright" / "recorded"
    kept = {item.path: _set_aside(root, item, aside) for item in done.artifacts}
    progress(f"{record.cycle} {done.phase}: running again")
    try:
        replay(root, done.phase, record.cycle)
        found = [_compared(root, done.phase, item, kept[item.path], limits) for item in done.artifacts]
    except LoopwrightError as error:
        found = [_failed(done.phase, item, error.message) for item in done.artifacts]
    for item in done.artifacts:
        _put_back(root / item.path, kept[item.path])
    for one in found:
        progress(f"{record.cycle} {done.phase}: {one.kind} {one.verdict} {one.where}".rstrip())
    return found


def _failed(phase: str, item: Artifact, why: str) -> Comparison:
    return Comparison(phase=phase, kind=item.kind, path=item.path, verdict="failed", where=why[:500], recorded=item.digest)


def _as_signed(root: Path, cycle: str, done: PhaseRecord, statement: Statement) -> None:
    """IntegrityError where the clone does not have the configuration and the inputs of the statement."""
    file = root / f"cycles/{cycle}/config/{done.phase}.json"
    if statement.kind == "phase" and digest_bytes(file.read_bytes()) != statement.predicate["config"]:
        raise IntegrityError(
            f"{file.relative_to(root)} is not the configuration that {done.phase} was signed with", "loopwright verify"
        )
    for item in done.inputs:
        kind = Path(item["path"]).stem if item["path"].startswith("cycles/") else item["name"]
        check(root, Artifact(kind=kind, digest=item["digest"], path=item["path"]))


def _set_aside(root: Path, item: Artifact, aside: Path) -> Path:
    """The recorded output, checked, where the phase cannot reach it."""
    check(root, item, fresh=True)
    target = aside / item.path
    target.parent.mkdir(parents=True, exist_ok=True)
    if (root / item.path).is_dir():
        shutil.copytree(root / item.path, target, copy_function=os.link)
    else:
        shutil.copyfile(root / item.path, target)
    return target


def _compared(root: Path, phase: str, item: Artifact, kept: Path, limits: Tolerance) -> Comparison:
    try:
        return compare(phase, item.path, kept, root / item.path, read_manifest(manifest_of(root / item.path)), limits)
    except (OSError, ValueError) as error:
        raise InfraError(f"{item.path} cannot be compared: {error}", "run it again") from error


def _put_back(target: Path, kept: Path) -> None:
    if target.is_dir():
        _remove(target)
    else:
        target.unlink(missing_ok=True)
    kept.rename(target)
