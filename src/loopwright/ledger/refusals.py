"""What a witness refused, brought back to the log: a checkpoint that this log's own key signed, and that it does not continue.

It lies below ``ledger/refused/``, named by its digest. Nobody but who holds the log's key can make one: whoever finds it there
knows that the log was longer once, or had another past, whoever put it there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from loopwright.errors import IntegrityError, UsageError
from loopwright.ledger.audit import Finding
from loopwright.ledger.note import Checkpoint, origin_of, read_checkpoint
from loopwright.ledger.principals import Principal
from loopwright.ledger.publication import keep_file
from loopwright.ledger.reading import parsed
from loopwright.ledger.roster import Roster
from loopwright.ledger.tiles import read_entries
from loopwright.ledger.trust import fit, roots_of
from loopwright.types import digest_bytes

__all__ = ["REFUSED", "bring", "contradictions", "unbroken"]

REFUSED = "refused"
"""Below ``ledger/``."""


def bring(ledger: Path, note: str) -> Path:
    """Keep a checkpoint that contradicts this log; where it lies.

    UsageError where it is not signed by this log's key, or where the log continues it.
    """
    entries = read_entries(ledger)
    origin, logs = _logs(entries)
    try:
        shown = read_checkpoint(note, logs)
    except ValueError as error:
        raise UsageError(
            f"the evidence is no checkpoint of this log: {error}", "give what the witness kept, unchanged"
        ) from error
    if not list(_against([shown], origin, entries)):
        raise UsageError(f"this log continues the checkpoint of {shown.size} entries", "nothing is wrong with it")
    place = ledger / REFUSED / f"{shown.size}-{digest_bytes(note.encode())[7:23]}"
    keep_file(place, note.encode())
    return place


def contradictions(ledger: Path) -> list[Finding]:
    """A ``rewind`` or a ``fork`` for every checkpoint that was brought back and that this log does not continue."""
    files = sorted((ledger / REFUSED).glob("[0-9]*"))
    if not files:
        return []
    entries = read_entries(ledger)
    origin, logs = _logs(entries)
    shown = []
    for file in files:
        try:
            shown.append(read_checkpoint(file.read_text(encoding="utf-8"), logs))
        except ValueError:
            continue  # whoever can write here can put anything here; only the log's own signature is evidence
    return list(_against(shown, origin, entries))


def unbroken(ledger: Path) -> None:
    """IntegrityError where a witness brought back that this log was rewound or forked; costs nothing where none did."""
    for found in contradictions(ledger):
        raise IntegrityError(
            f"{found.code}: {found.message}; a witness refused to sign this log, and {ledger / REFUSED} has the evidence",
            "do not go on with this log before a person knows why; `loopwright verify` says what else is wrong",
        )


def _against(shown: Sequence[Checkpoint], origin: str, entries: Sequence[bytes]) -> Iterator[Finding]:
    return fit(shown, origin, roots_of(entries, [one.size for one in shown]), len(entries))


def _logs(entries: Sequence[bytes]) -> tuple[str, list[Principal]]:
    """The log's origin, and every key that was ever its own."""
    first = parsed(entries[0], 0)
    roster = Roster.of(first.predicate)
    for index, entry in enumerate(entries[1:], 1):
        roster = roster.after(parsed(entry, index))
    logs = [one.principal for one in roster.holdings.values() if one.principal.role == "log"]
    return origin_of(first.predicate["workspace"]), logs
