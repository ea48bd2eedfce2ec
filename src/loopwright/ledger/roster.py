"""Who is enrolled, as of an entry: what genesis enrols, and what was enrolled, rotated and revoked after it.

A principal speaks from the entry after its enrolment until the entry of its revocation. A revocation may take effect
earlier than it was said (a key that was stolen on Monday and missed on Friday): what the key signed in between stays in the
log and stays validly signed, and counts for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from loopwright.ledger.principals import CUSTODY, Principal, demonstration, enrolled, read_principal
from loopwright.ledger.statement import Statement

__all__ = ["Holding", "Roster"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One key's time in office, by entries of the log."""

    principal: Principal
    since: int
    """The entry that enrolled it."""
    by: str
    """Key id of who enrolled it; its own for those of the genesis entry."""
    revoked: int | None = None
    """The entry that revoked it; what it signs after that is not valid."""
    void_from: int | None = None
    """The entry from which on what it signed counts for nothing; at most ``revoked``."""


@dataclass(frozen=True, slots=True)
class Roster:
    """Everybody who was ever enrolled, by key id."""

    demo: bool
    holdings: Mapping[str, Holding] = field(default_factory=dict)

    @classmethod
    def of(cls, genesis: Mapping[str, Any]) -> Roster:
        """The roster after the genesis entry; ValueError where that contradicts itself."""
        first = enrolled(genesis).values()
        return cls(genesis["demo"], {one.id: Holding(principal=one, since=0, by=one.id) for one in first})

    def holder(self, key: str) -> Principal | None:
        """Who may sign now with this key: enrolled and not revoked."""
        holding = self.holdings.get(key)
        return None if holding is None or holding.revoked is not None else holding.principal

    def counts(self, key: str, index: int) -> bool:
        """Does what this key signed as entry ``index`` (still) count?"""
        holding = self.holdings.get(key)
        return holding is not None and holding.since <= index and (holding.void_from is None or index < holding.void_from)

    def note(self, key: str) -> str:
        """What must be shown beside everything that this key signed: words for a demonstration key, else nothing."""
        holding = self.holdings.get(key)
        return demonstration(holding.principal) if holding else ""

    def current(self, role: str) -> tuple[Principal, ...]:
        """Those who hold a role now, in the order of enrolment."""
        return tuple(one.principal for one in self.holdings.values() if one.principal.role == role and one.revoked is None)

    def after(self, statement: Statement) -> Roster:
        """The roster one entry later; ValueError, in words, where the entry may not say what it says."""
        said = statement.predicate
        if statement.kind == "enrol":
            return self._enrolled(statement, said["principal"])
        if statement.kind == "rotate":
            ended = self._revoked(said["old"], statement.index, statement.index)
            return ended._enrolled(  # noqa: SLF001  # another value of this class
                statement, said["principal"], said["old"]
            )
        if statement.kind == "revoke":
            return self._revoked(said["principal"], statement.index, said["effective"])
        return self

    def _enrolled(self, statement: Statement, entry: Mapping[str, Any], old: str | None = None) -> Roster:
        found = read_principal(entry, demo=self.demo)
        for objection in self._objections(statement, found, old):
            raise ValueError(objection)
        holding = Holding(principal=found, since=statement.index, by=statement.keyid)
        return replace(self, holdings={**self.holdings, found.id: holding})

    def _objections(self, statement: Statement, found: Principal, old: str | None) -> Iterator[str]:
        if found.id in self.holdings:
            yield f"key {found.id} was enrolled before; a key is enrolled once"
        persons = [one for one in self.holdings.values() if one.principal.role == "person"]
        if statement.predicate.get("by") == "founding":
            if persons or found.role != "person":
                yield "only the first person may be enrolled by the controller"
        elif found.role == "person" and old is None and self._who(statement.keyid) == found.who:
            yield f"person {found.id} is enrolled by a key of the same person"
        if found.kind == "person" and found.custody not in CUSTODY:
            yield f"a person's key is kept by {' or '.join(CUSTODY)}, not by {found.custody!r}"
        owner = self.holder(found.owner) if found.owner else None
        if found.role == "agent" and (owner is None or owner.role != "person"):
            yield f"agent {found.id} acts for {found.owner}, who is no enrolled person"
        before = self.holdings[old].principal if old in self.holdings else None
        if before is not None and (before.role != found.role or (found.role == "person" and before.who != found.who)):
            yield f"key {found.id} does not succeed {old}: another role or another person"

    def _who(self, key: str) -> str:
        holding = self.holdings.get(key)
        return holding.principal.who if holding else key

    def _revoked(self, key: str, index: int, effective: int) -> Roster:
        holding = self.holdings.get(key)
        if holding is None or holding.revoked is not None:
            raise ValueError(f"key {key} is not enrolled, so it cannot be revoked")
        if not holding.since < effective <= index:
            raise ValueError(
                f"key {key} cannot be revoked with effect from entry {effective}: it is enrolled since {holding.since}"
            )
        ended = replace(holding, revoked=index, void_from=effective)
        return replace(self, holdings={**self.holdings, key: ended})
