"""Bring the state database up to what is published: after a clone, a pull, or the loss of the database.

What is published is audited first (`loopwright.ledger.audit`); entries that were never published cannot come back.
"""

from __future__ import annotations

from pathlib import Path

from loopwright.errors import IntegrityError, WorkspaceError
from loopwright.ledger import snapshot as database
from loopwright.ledger.audit import audit
from loopwright.ledger.lease import raise_token
from loopwright.ledger.location import Location
from loopwright.ledger.storage import Storage
from loopwright.ledger.tiles import published_size

__all__ = ["catch_up"]


def catch_up(storage: Storage, folder: Path) -> None:
    """Add what is published and not stored.

    IntegrityError where the audit fails or the two logs went apart, WorkspaceError where the record would leave entries behind in
    a file that nobody reads any more.
    """
    published = published_size(folder)
    left = database.count(Location(path=storage.location.path)) if storage.location.server else 0
    if left > published:
        problem = f"{storage.location.path} holds {left} entries, of which {published} are published"
        raise WorkspaceError(
            problem, "take record.url out of loop.yaml, run `loopwright run` to publish them, then put it back"
        )
    with storage.transaction() as snapshot:
        if published <= snapshot.tree().size:
            return
    log = audit(folder)
    if log.findings:
        finding = log.findings[0]
        raise IntegrityError(f"the published log is not sound ({finding.where}: {finding.message})", "loopwright verify")
    with storage.transaction() as snapshot:
        size = snapshot.tree().size
        if snapshot.envelopes(0, size) != log.entries[:size]:
            raise IntegrityError(
                f"{folder} is not a continuation of {storage.location}: two drivers wrote different logs",
                "keep one of the two: restore ledger/ by git, or move the database away",
            )
        snapshot.append([(statement.event, log.entries[statement.index]) for statement in log.statements[size:]])
        for at in log.notes.keys() - snapshot.checkpoints().keys():
            snapshot.add_checkpoint(at, log.notes[at])
        fences = [statement.predicate["fence"] for statement in log.statements if statement.kind == "open"]
        raise_token(snapshot.connection, max(fences, default=0))
