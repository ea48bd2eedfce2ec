"""Checked offline: was everything that persons have to agree to, agreed to by them, under the rules that were in force then?

For each ``execute`` the rule of `quorum` is applied again, to the record as it was just before: with a policy as the last
cycle's entry tells it, by the clock that the entry tells. What lay on disk then cannot be seen any more; that it was what was
signed is told by the entries that used it. For each cycle: a judge or a policy other than the last one's was agreed to.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from loopwright.ledger.acts import Acts, Request
from loopwright.ledger.audit import Finding
from loopwright.ledger.quorum import STRICT, InForce, standing
from loopwright.ledger.roster import Roster
from loopwright.ledger.statement import Statement
from loopwright.policy import Approvals

__all__ = ["unconsented"]


@dataclass(slots=True)
class _Past:
    """The record up to an entry, as far as consent goes."""

    workspace: str
    demo: bool
    roster: Roster
    acts: Acts = field(default_factory=Acts)
    latest: str = ""
    opened: Mapping[str, Any] | None = None
    """The last cycle's first entry."""
    approved: set[str] = field(default_factory=set)
    """Digests that a person approved outside a request (as the first version of the program did)."""

    def take(self, statement: Statement) -> None:
        said = statement.predicate
        told = (value for name, value in said.items() if name.endswith("_at") and name != "expires_at")
        self.latest = max((self.latest, *(time for time in told if isinstance(time, str))))
        self.roster, self.acts = self.roster.after(statement), self.acts.after(statement)
        if statement.kind == "open":
            self.opened = said
        elif statement.kind == "approval" and "request" not in said:
            self.approved |= {subject.digest for subject in statement.subjects}

    def in_force(self, request: Request) -> InForce:
        """Policy and quorum of the last cycle; before one that tells them, what the request says."""
        said, opened = request.said, self.opened or {}
        policy, persons, duties = said["policy"], said["quorum"]["persons"], tuple(said["quorum"]["duties"])
        hours = float("inf")
        if "policy" in opened and "approvals" in opened:
            rules = Approvals.model_validate_json(json.dumps(opened["approvals"]))
            quorum = rules.strict if request.action in STRICT else rules.ordinary
            policy, persons, duties, hours = opened["policy"], quorum.persons, quorum.duties, rules.expires_hours
        return InForce(
            policy=policy,
            persons=persons,
            duties=duties,
            hours=min(hours, 1e6),
            subjects=request.subjects,
            evidence=tuple(said["evidence"]),
            details=said["details"],
        )

    def agreed(self, action: str, digest: str, since: int) -> bool:
        """Was this carried out after that entry, or approved in the old way?"""
        done = [one for one in self.acts.requests.values() if one.action == action and (one.executed or -1) > since]
        return digest in self.approved or any(digest == one.subjects[0].digest for one in done if one.subjects)


def unconsented(statements: Iterable[Statement]) -> Iterator[Finding]:
    """Everything that was done without the consent that it needed. The statements' signatures are `audit`'s business."""
    past, last = None, -1
    for statement in statements:
        if past is None:
            said = statement.predicate
            past = _Past(said["workspace"], said["demo"], Roster.of(said))
        else:
            yield from _answered(past, statement)
            yield from _executed(past, statement)
            yield from _changed(past, statement, last)
        if statement.kind == "open":
            last = statement.index
        try:
            past.take(statement)
        except (KeyError, ValueError):
            continue  # said above, or by the audit


def _found(code: str, index: int, message: str) -> Finding:
    return Finding(code=code, where=f"ledger entry {index}", message=message)


def _answered(past: _Past, statement: Statement) -> Iterator[Finding]:
    said = statement.predicate
    if statement.kind in {"approval", "execute", "reveal"} and "request" in said and said["request"] not in past.acts.requests:
        yield _found("request-unknown", statement.index, "answers or carries out a request that this log does not have")


def _executed(past: _Past, statement: Statement) -> Iterator[Finding]:
    if statement.kind != "execute" or statement.predicate["request"] not in past.acts.requests:
        return
    said, request = statement.predicate, past.acts.requests[statement.predicate["request"]]
    found = standing(request, past, past.in_force(request), said["executed_at"])
    if found.status != "granted":
        why = "; ".join((*found.missing, *found.reasons))
        yield _found("consent-missing", statement.index, f"carries out a request that was {found.status}: {why}")
    elif said["approvals"] != list(found.approvals) or said["action"] != request.action:
        yield _found(
            "consent-differs", statement.index, "does not tell the request and the approvals that let it be carried out"
        )
    if said.get("cycle") != request.said["details"].get("cycle"):
        yield _found("consent-differs", statement.index, f"is about {said.get('cycle')}, and what was asked is not")


def _changed(past: _Past, statement: Statement, last: int) -> Iterator[Finding]:
    said, before = statement.predicate, past.opened
    if statement.kind != "open" or before is None:
        return
    judge, policy = said["code"]["judge"], said.get("policy")
    if judge != before["code"]["judge"] and not past.agreed("judge", judge, last):
        yield _found(
            "judge-unapproved", statement.index, f"{said['cycle']} has another judge than the cycle before, by no request"
        )
    if before.get("policy") and policy != before["policy"] and not past.agreed("policy", str(policy), last):
        yield _found(
            "policy-unapproved", statement.index, f"{said['cycle']} has another policy than the cycle before, by no request"
        )
