"""The audited record that documents are drawn from: opened once, and asked for many documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from loopwright.errors import IntegrityError, UsageError, WorkspaceError
from loopwright.ledger.answers import LOOP
from loopwright.ledger.audit import LogAudit, audit
from loopwright.ledger.fold import LoopState, fold
from loopwright.ledger.incidents import incidents
from loopwright.ledger.note import Checkpoint, read_text
from loopwright.report.facts import Fact, catalogue

__all__ = ["NONE", "Record", "open_record"]

NONE = "none"
"""What an incident's document is about where nobody has opened one of its kind: then it says that of every field, and no more."""


@dataclass(frozen=True, slots=True, repr=False)
class Record:
    """A log in order, as far as its last checkpoint covers it."""

    root: Path
    log: LogAudit
    state: LoopState
    _facts: dict[tuple[str, str], Mapping[str, Fact]]

    @property
    def checkpoint(self) -> Checkpoint:
        """The signed head that everything is drawn from."""
        return read_text(self.log.notes[self.log.covered].rpartition("\n\n")[0] + "\n")

    def about(self, scope: str, asked: str | None, kind: str | None = None) -> tuple[str, str]:
        """What a document is about, and the cycle that its facts are of; ``kind``: of incidents those that it is for.

        UsageError where the record has no such cycle or incident, or no cycle at all.
        """
        newest = self.state.last or next(reversed(list(self.state.cycles)), None)
        if newest is None:
            raise UsageError("no cycle is on the record yet", "`loopwright run`")
        if scope == "loop":
            return LOOP, newest
        if scope == "incident":
            return self._incident(asked, kind), newest
        if asked is not None and asked not in self.state.cycles:
            known = ", ".join(self.state.cycles)
            raise UsageError(f"the record has no cycle {asked!r} under its last checkpoint", f"one of: {known}")
        return (asked or newest,) * 2

    def _incident(self, asked: str | None, kind: str | None) -> str:
        every = incidents(getattr(self.state.acts, "incidents", ()))
        known = [name for name, one in every.items() if kind in (None, one.facts.get("kind"))]
        if asked is not None and asked not in known:
            what = f"is of kind {every[asked].facts.get('kind')}, not {kind}" if asked in every else "is not on the record"
            raise UsageError(
                f"incident {asked} {what}", f"one of: {', '.join(known)}" if known else "`loopwright incident open`"
            )
        return asked or (known[-1] if known else NONE)

    def facts(self, about: str, cycle: str, kind: str | None = None) -> Mapping[str, Fact]:
        """The catalogue for one subject; each fact is computed when it is asked for, once. ``kind``: of the incident where it is about none."""
        incident = about if about.startswith("inc-") else self._incident(None, kind) if kind else NONE
        key = (cycle, incident)
        if key not in self._facts:
            self._facts[key] = catalogue(self.log, self.root, cycle, None if incident == NONE else incident)
        return self._facts[key]


def open_record(root: Path, at: int | None = None) -> Record:
    """Audit the published log of a workspace; ``at``: as it stood at its checkpoint of so many entries, by default at the last.

    Raises:
        UsageError: no checkpoint is signed yet, or none of that size was kept.
        WorkspaceError: there is no ledger.
        IntegrityError: the record is not in order; nothing is drawn from it.
    """
    if not (root / "ledger").is_dir():
        raise WorkspaceError(
            f"{root} has no ledger", "`loopwright init DIRECTORY` makes a workspace, `loopwright run` fills it"
        )
    log = audit(root / "ledger")
    if log.findings:
        first = log.findings[0]
        more = f" (and {len(log.findings) - 1} more)" if len(log.findings) > 1 else ""
        raise IntegrityError(f"the record is not in order: {first.where}: {first.message}{more}", "loopwright verify")
    if not log.covered:
        raise UsageError("no checkpoint is signed yet: there is nothing to draw a document from", "`loopwright run`")
    if at is not None and at not in log.notes:
        raise UsageError(f"{root} keeps no checkpoint of {at} entries", "is it another workspace, or an older copy?")
    log = replace(log, covered=at if at is not None else log.covered)
    return Record(root, log, fold(log.statements[: log.covered]), {})
