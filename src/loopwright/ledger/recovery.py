"""Bring the state database up to what is published: after a clone, a pull, or the loss of the database.

What is published is audited first (`loopwright.ledger.audit`); entries that were never published cannot come back.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path

from loopwright.errors import IntegrityError, WorkspaceError
from loopwright.ledger import snapshot as database
from loopwright.ledger.audit import LogAudit, audit
from loopwright.ledger.lease import hold, raise_token
from loopwright.ledger.location import Location, locate
from loopwright.ledger.storage import Snapshot, Storage, set_schema_aside
from loopwright.ledger.tiles import Entries, bundles_in, published_size, read_files

__all__ = ["catch_up", "rebuild"]

_CHUNK = 2000


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
        stored = snapshot.tree().size
        _same_log(snapshot, folder, min(stored, published))
    if published > stored:
        _add(storage, _sound(folder))


def _apart(storage: Location, folder: Path) -> IntegrityError:
    return IntegrityError(
        f"{folder} is not a continuation of {storage}, or the reverse: two drivers wrote different logs",
        "keep one of the two: restore ledger/ by git, or move the database away (loopwright record rebuild)",
    )


def _same_log(snapshot: Snapshot, folder: Path, common: int) -> None:
    """The first and the last entry that both have are the same: a whole comparison is `inspection`'s."""
    if not common:
        return
    files = read_files(folder, "tile/entries")
    published = Entries(files, bundles_in(files))
    for at in {0, common - 1}:
        if snapshot.envelopes(at, at + 1) != [published[at]]:
            raise _apart(snapshot.location, folder)


def _sound(folder: Path) -> LogAudit:
    log = audit(folder)
    if log.findings:
        finding = log.findings[0]
        raise IntegrityError(f"the published log is not sound ({finding.where}: {finding.message})", "loopwright verify")
    return log


def _add(storage: Storage, log: LogAudit) -> None:
    """Everything that is published and not stored, in one transaction; the fencing token is above all that were used."""
    fence = 0
    with storage.transaction() as snapshot:
        size = snapshot.tree().size
        for start in range(0, size, _CHUNK):
            stop = min(start + _CHUNK, size)
            if snapshot.envelopes(start, stop) != log.entries[start:stop]:
                raise _apart(storage.location, Path("ledger"))
        for start in range(0, len(log.entries), _CHUNK):
            statements = list(log.statements[start : start + _CHUNK])
            fence = max([fence, *(one.predicate["fence"] for one in statements if one.kind == "open")])
            snapshot.append([(one.event, log.entries[one.index]) for one in statements if one.index >= size])
        for at in log.notes.keys() - snapshot.checkpoints().keys():
            snapshot.add_checkpoint(at, log.notes[at])
        raise_token(snapshot.connection, fence)


def rebuild(root: Path) -> str:
    """Set the database aside and build it anew from ``ledger/``; where the old one is now, in words.

    IntegrityError where what is published is not sound, WorkspaceError where the database holds entries that are not published,
    LeaseHeld where a driver is at work.
    """
    location, folder = locate(root), root / "ledger"
    published = len(_sound(folder).entries)
    with contextlib.suppress(IntegrityError):  # a damaged one can neither be counted nor locked: that is what this is for
        stored = database.count(location)
        if stored > published:
            problem = f"{location} holds {stored} entries, of which {published} are published: the others would be lost"
            raise WorkspaceError(problem, "`loopwright run` publishes them")
        if stored:
            old = Storage(location)
            try:
                with hold(old):
                    pass
            finally:
                old.close()
    kept = _set_aside(location)
    storage = Storage(location)
    try:
        catch_up(storage, folder)
    finally:
        storage.close()
    return kept


def _set_aside(location: Location) -> str:
    suffix = f"{datetime.now(UTC):%Y%m%dt%H%M%S%f}"
    if location.server:
        name = f"{location.server.schema[:30]}_replaced_{suffix}"
        set_schema_aside(location.server, name)
        return f"schema {name}"
    kept = location.path.with_name(f"{location.path.name}.replaced-{suffix}")
    for end in ("", "-wal", "-shm"):
        file = location.path.with_name(location.path.name + end)
        if file.exists():
            file.rename(kept.with_name(kept.name + end))
    return str(kept)
