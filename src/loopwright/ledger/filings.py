"""The submission register: what became of a built report, from the entries that persons signed about its exact bytes.

A report is a draft until somebody has reviewed it; another person approves it; then it is submitted. Recipient, receipt and
notes are words about persons and authorities, so they stand beside the log like answers do (`loopwright.ledger.answers.keep`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loopwright.ledger.acts import Acts
from loopwright.ledger.roster import Roster
from loopwright.types import Digest

__all__ = ["FOLDER", "STATES", "Filed", "Step", "frozen", "objection", "register"]

FOLDER = "filings"
"""Where the frozen bytes lie, in the workspace and in git."""
STATES = ("reviewed", "approved", "submitted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One entry about a report."""

    index: int
    state: str
    key: str
    who: str
    """Stands for the person behind the key."""
    filed_at: str
    words: Digest | None
    """Of the file with recipient, note and receipt; None where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """A report with its bytes frozen."""

    file: Digest
    document: str
    about: str
    language: str
    audience: str
    checkpoint: int
    """Entries that it was drawn from."""
    steps: tuple[Step, ...] = field(default=())

    @property
    def state(self) -> str:
        """The furthest that it has come."""
        return max((step.state for step in self.steps), key=STATES.index)


def register(acts: Acts, roster: Roster) -> Mapping[Digest, Filed]:
    """Every report that was filed, by the digest of its bytes, in the order in which they came; a step out of turn counts for nothing."""
    found: dict[Digest, Filed] = {}
    for entry in acts.filings:
        said = entry.predicate
        holding = roster.holdings.get(entry.keyid)
        who = holding.principal.who if holding else entry.keyid
        before = found.get(said["file"])
        if objection(before, said["state"], who):
            continue
        step = Step(
            index=entry.index, state=said["state"], key=entry.keyid, who=who, filed_at=said["filed_at"], words=said["words"]
        )
        found[said["file"]] = _with(before, said, step)
    return found


def _with(before: Filed | None, said: Mapping[str, Any], step: Step) -> Filed:
    same = ("file", "document", "about", "language", "audience", "checkpoint")
    return Filed(**{name: said[name] for name in same}, steps=(*(before.steps if before else ()), step))


def objection(filed: Filed | None, state: str, who: str) -> str:
    """Why this person may not take a report to this state now, in words; empty where they may."""
    reviewers = {step.who for step in filed.steps if step.state == "reviewed"} if filed else set()
    if state == "approved" and not reviewers:
        return "nobody has reviewed it yet"
    if state == "approved" and reviewers == {who}:
        return "who reviewed it does not approve it"
    if state == "submitted" and (filed is None or not any(step.state == "approved" for step in filed.steps)):
        return "nobody has approved it yet"
    return ""


def frozen(root: Path, file: Digest) -> Path:
    """Where the bytes of a filed report lie."""
    return root / FOLDER / f"{file.removeprefix('sha256:')}.pdf"
