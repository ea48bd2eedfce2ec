"""Offline verification of a workspace: is everything that is here what was signed?

Reads the published ``ledger/``, manifests and other files that git tracks, artifacts and DVC's cache as far as they are
here. Needs no key, no network, no database and no DVC; reports, never repairs. What only the machine that wrote the record
has (its database, its access log) is compared by `loopwright.ledger.inspection`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from loopwright.errors import WorkspaceError
from loopwright.ledger.audit import Finding, LogAudit, audit
from loopwright.ledger.objects import ObjectAudit

__all__ = ["Check", "Finding", "Report", "verify"]

Check = Callable[[Path, LogAudit], Iterator[Finding]]
"""Something more to be held against the log that was audited; the first argument is the workspace."""

_FOLDER = "ledger"


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
    unseen: tuple[str, ...] = ()
    """What else was not compared, and why."""

    @property
    def ok(self) -> bool:
        """True where nothing was found."""
        return not self.findings


def verify(root: Path, beside: Sequence[Check] = ()) -> Report:
    """Check the workspace at ``root``. WorkspaceError where it has no published ledger; never an IntegrityError."""
    if not (root / _FOLDER).is_dir():
        raise WorkspaceError(f"{root} has no ledger", "loopwright init")
    log = audit(root / _FOLDER)
    objects = ObjectAudit(root, log.statements)
    findings = [*log.findings, *objects.findings()]
    findings += [finding for check in beside for finding in check(root, log)]
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
