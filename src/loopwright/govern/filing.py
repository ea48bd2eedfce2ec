"""A person takes a built report to its next state: reviewed, approved, submitted. Its bytes are frozen at the first of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loopwright.clock import now
from loopwright.errors import RefusedError, UsageError
from loopwright.govern.answers import attached
from loopwright.govern.requests import Desk
from loopwright.ledger.answers import FOLDER as WORDS
from loopwright.ledger.answers import keep
from loopwright.ledger.filings import FOLDER, frozen, objection, register
from loopwright.ledger.publication import write_file
from loopwright.store import git
from loopwright.types import digest_bytes

__all__ = ["Report", "file_report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is filed."""

    pdf: bytes
    document: str
    about: str
    language: str
    audience: str
    checkpoint: int


def file_report(
    desk: Desk,
    report: Report,
    state: str,
    *,
    name: str | None = None,
    recipient: str | None = None,
    note: str | None = None,
    receipt: Path | None = None,
) -> Mapping[str, Any]:
    """Sign and record it; what the entry says, and its index.

    Args:
        desk: the workspace, and who sits there.
        report: the exact bytes and what they are.
        state: one of `loopwright.ledger.filings.STATES`.
        name: who signs.
        recipient: to whom it was submitted.
        note: words for the register.
        receipt: what the recipient gave in return.

    Raises:
        RefusedError: it is not this state's turn, or not this person's.
        UsageError: submitted to nobody, or the receipt cannot be read.
    """
    if state == "submitted" and not recipient:
        raise UsageError("submitted to whom?", "--recipient 'AI Office, by the EU SEND platform'")
    loop, file = desk.consent.state(), digest_bytes(report.pdf)
    principal, _ = desk.hand(loop, name, "operator")
    if why := objection(register(loop.acts, loop.roster).get(file), state, principal.who):
        raise RefusedError(f"not {state}: {why}", "`loopwright report register` shows who did what")
    words = keep(desk.root, note, recipient, [attached(receipt)] if receipt else ()) if recipient or note or receipt else None
    write_file(frozen(desk.root, file), report.pdf)
    predicate = {
        "file": file,
        "document": report.document,
        "about": report.about,
        "language": report.language,
        "audience": report.audience,
        "checkpoint": report.checkpoint,
        "state": state,
        "words": words,
        "filed_at": now(),
    }
    index = desk.say("filing", [], predicate, name)
    git.commit(desk.root, (FOLDER, WORDS) if words else (FOLDER,), f"record: a report was {state}")
    return {"leaf": index, "key": principal.id, "covered": desk.cover(), **predicate}
