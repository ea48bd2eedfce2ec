"""Offline verification of a workspace: is everything that is here what was signed?

Reads the published ``ledger/``, manifests and other files that git tracks, artifacts and DVC's cache as far as they are
here, and compares the state database where there is one. Needs no key, no network and no DVC; reports, never repairs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loopwright.errors import LoopwrightError, WorkspaceError
from loopwright.ledger import snapshot
from loopwright.ledger.audit import Finding, LogAudit, audit
from loopwright.ledger.objects import ObjectAudit
from loopwright.ledger.tiles import published_size

__all__ = ["Finding", "Report", "verify"]

_FOLDER = "ledger"
_MOMENTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was checked, and everything that was found."""

    workspace: str
    """Its id, or nothing where the genesis entry cannot be read."""
    findings: tuple[Finding, ...]
    leaves: int
    """Published entries."""
    covered: int
    """Entries below the latest valid checkpoint; those after it are signed by their role only."""
    checkpoints: int
    artifacts: int
    """Manifests that are what was recorded."""
    files: int
    """Files of artifacts in the workspace that are what was recorded."""
    objects: int
    """Objects in DVC's cache that are what their name and the record say."""
    absent: int
    """Artifacts and objects that are not on this machine, and so were not checked."""

    @property
    def ok(self) -> bool:
        """True where nothing was found."""
        return not self.findings


def _published_soon(folder: Path, size: int) -> bool:
    """A driver that is at work publishes what it has appended within moments."""
    for _ in range(_MOMENTS):
        if published_size(folder) >= size:
            return True
        time.sleep(0.1)
    return False


def _database(root: Path, log: LogAudit) -> Iterator[Finding]:
    """The published log is the stored one. A database that is behind (after a pull) catches up at its next write."""
    where = snapshot.DATABASE.as_posix()
    try:
        stored = snapshot.envelopes(root / where)
    except LoopwrightError as error:
        yield Finding(code="database-unreadable", where=where, message=error.message)
        return
    for index, (ours, published) in enumerate(zip(stored, log.entries, strict=False)):
        if ours != published:
            yield Finding(code="database-differs", where=where, message=f"entry {index} is not the published one")
            return
    if len(stored) > len(log.entries) and not _published_soon(root / _FOLDER, len(stored)):
        missing = f"holds {len(stored)} entries, of which {len(log.entries)} are published"
        yield Finding(code="unpublished", where=where, message=f"{missing}: an interrupted run (run again), or ledger/ was cut")


def verify(root: Path) -> Report:
    """Check the workspace at ``root``. WorkspaceError where it has no published ledger; never an IntegrityError."""
    if not (root / _FOLDER).is_dir():
        raise WorkspaceError(f"{root} has no ledger", "loopwright init")
    log = audit(root / _FOLDER)
    objects = ObjectAudit(root, log.statements)
    findings = [*log.findings, *objects.findings()]
    if (root / snapshot.DATABASE).is_file():
        findings += _database(root, log)
    genesis = log.statements[0] if log.statements and log.statements[0].kind == "genesis" else None
    return Report(
        workspace=genesis.predicate["workspace"] if genesis else "",
        findings=tuple(findings),
        leaves=len(log.entries),
        covered=log.covered,
        checkpoints=len(log.notes),
        artifacts=objects.artifacts,
        files=objects.files,
        objects=objects.objects,
        absent=objects.absent,
    )
