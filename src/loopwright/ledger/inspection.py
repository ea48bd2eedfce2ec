"""`verify`, and with it what only the machine that writes the record has: its database and its access log."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from loopwright.errors import LoopwrightError, WorkspaceError
from loopwright.ledger import snapshot
from loopwright.ledger.access import differing
from loopwright.ledger.audit import Finding, LogAudit, audit
from loopwright.ledger.consented import unconsented
from loopwright.ledger.location import Unreachable, locate
from loopwright.ledger.recalled import begun_from_recalled
from loopwright.ledger.refusals import contradictions
from loopwright.ledger.sightings import unwitnessed
from loopwright.ledger.tiles import published_size
from loopwright.ledger.verify import Report, verify

__all__ = ["inspect", "inspect_record"]

_FOLDER = "ledger"
_MOMENTS = 20
_CHUNK = 5000


def _published_soon(folder: Path, size: int) -> bool:
    """A driver that is at work publishes what it has appended within moments."""
    for _ in range(_MOMENTS):
        if published_size(folder) >= size:
            return True
        time.sleep(0.1)
    return False


def _database(root: Path, log: LogAudit) -> Iterator[Finding]:
    """The published log is the stored one. A database that is behind (after a pull) catches up at its next write."""
    location = locate(root)
    where = str(location.server or location.path.relative_to(root).as_posix())
    try:
        stored = snapshot.count(location)
        for start in range(0, min(stored, len(log.entries)), _CHUNK):
            ours, published = snapshot.envelopes(location, start, _CHUNK), log.entries[start : start + _CHUNK]
            differing = [at for at, pair in enumerate(zip(ours, published, strict=False), start) if pair[0] != pair[1]]
            if differing:
                yield Finding(code="database-differs", where=where, message=f"entry {differing[0]} is not the published one")
                return
    except LoopwrightError as error:
        yield Finding(code="database-unreadable", where=where, message=error.message)
        return
    if stored > len(log.entries) and not _published_soon(root / _FOLDER, stored):
        missing = f"holds {stored} entries, of which {len(log.entries)} are published"
        yield Finding(code="unpublished", where=where, message=f"{missing}: an interrupted run (run again), or ledger/ was cut")


def _access(root: Path, log: LogAudit) -> Iterator[Finding]:
    """Anchored files of the access log that are here are as they were anchored."""
    for statement in log.statements:
        if statement.kind == "anchor":
            where = statement.predicate["file"]
            with contextlib.suppress(FileNotFoundError):
                for problem in differing(root, statement.predicate):
                    yield Finding(code="access-differs", where=where, message=problem)


def _consent(_: Path, log: LogAudit) -> Iterator[Finding]:
    """What needed persons was agreed to by them, and what was recalled stayed out; of a log whose statements are what they say."""
    if not log.findings:
        yield from unconsented(log.statements)
        yield from begun_from_recalled(log.statements)
        yield from unwitnessed(log)


def _refused(root: Path, _: LogAudit) -> Iterator[Finding]:
    """What a witness brought back."""
    with contextlib.suppress(LoopwrightError, ValueError):  # of a log that cannot be read, the audit says so
        yield from contradictions(root / _FOLDER)


def inspect(root: Path, *, tree_only: bool = False) -> Report:
    """`verify.verify` with everything that can be checked here; WorkspaceError where there is no published ledger.

    A server that cannot be reached is no finding (a clone has no way to it): `Report.unseen` says so. ``tree_only``: see `audit`.
    """
    if tree_only:
        return _tree(root)
    try:
        snapshot.count(locate(root))
    except Unreachable as error:
        return replace(
            verify(root, beside=(_consent, _refused, _access)), unseen=(f"not compared with the database: {error.message}",)
        )
    except LoopwrightError:
        pass  # told as a finding
    return verify(root, beside=(_consent, _refused, _database, _access))


def inspect_record(root: Path) -> Report:
    """`inspect` of the record alone: log, consent, database and access log, but neither artifacts nor DVC's cache."""
    if not (root / _FOLDER).is_dir():
        raise WorkspaceError(f"{root} has no ledger", "loopwright init")
    log = audit(root / _FOLDER)
    findings, unseen = [*log.findings, *_consent(root, log), *_refused(root, log), *_access(root, log)], ["artifacts"]
    try:
        snapshot.count(locate(root))
        findings += _database(root, log)
    except Unreachable as error:
        unseen.append(f"the database: {error.message}")
    except LoopwrightError:
        findings += _database(root, log)
    return replace(_report(log), findings=tuple(findings), unseen=tuple(unseen))


def _tree(root: Path) -> Report:
    if not (root / _FOLDER).is_dir():
        raise WorkspaceError(f"{root} has no ledger", "loopwright init")
    log = audit(root / _FOLDER, tree_only=True)
    return replace(_report(log), unseen=("not looked at: signatures of statements, their order, artifacts and the database",))


def _report(log: LogAudit) -> Report:
    genesis = next(iter(log.statements), None)
    return Report(
        workspace=genesis.predicate.get("workspace", "") if genesis else "",
        findings=log.findings,
        leaves=len(log.entries),
        covered=log.covered,
        checkpoints=len(log.notes),
        artifacts=0,
        files=0,
        objects=0,
        absent=0,
    )
