"""May a request be carried out: a pure function of the record, of what is in force, and of the clock.

Everything that lets it is named, and nothing else does: enough distinct persons with the right duties, none of whom asked,
launched, or owns the agent that asked, under the same policy, about the same bytes, in time, with nobody against it. Order
goes by the log; a clock that contradicts the record grants nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from loopwright.ledger.acts import Answer, Request
from loopwright.ledger.roster import Roster
from loopwright.types import Artifact, Digest

__all__ = [
    "SKEW",
    "STRICT",
    "InForce",
    "Record",
    "Standing",
    "Status",
    "commitment",
    "excluded",
    "is_canary",
    "is_real",
    "standing",
]

STRICT: frozenset[str] = frozenset(("judge", "policy", "unfreeze", "envelope", "admission"))
"""Actions that need the policy's stricter quorum: they change who checks, or what a check means."""

SKEW = timedelta(minutes=10)
"""What the clocks of honest machines may differ by."""

Status = Literal["granted", "open", "vetoed", "expired", "void", "executed"]
"""``open`` may still be granted; ``vetoed``, ``expired`` and ``void`` never will; ``executed`` is over."""


class Record(Protocol):
    """What is read of a `loopwright.ledger.fold.LoopState`."""

    @property
    def workspace(self) -> str: ...
    @property
    def demo(self) -> bool: ...
    @property
    def roster(self) -> Roster: ...
    @property
    def latest(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What holds now, and what the same request would say if it were made now."""

    policy: Digest
    persons: int
    """Distinct persons who must sign."""
    duties: tuple[str, ...]
    """Each must be held by one of them."""
    hours: float
    """Longest life of a request."""
    subjects: tuple[Artifact, ...]
    evidence: tuple[Digest, ...]
    details: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a request stands, with reasons in words."""

    status: Status
    reasons: tuple[str, ...]
    """Why it isn't granted, and whose signatures don't count."""
    approvals: tuple[int, ...] = ()
    """Entries of the approvals that count, one a person."""
    missing: tuple[str, ...] = ()
    """What an open request still lacks."""


def commitment(salt: str, word: str) -> str:
    """What a request of a run says of whether it is a planted one: hex SHA-256 over salt and ``real`` or ``canary``."""
    return hashlib.sha256(f"loopwright request/{salt}/{word}".encode()).hexdigest()


def is_canary(request: Request) -> bool:
    """Was this a planted request, as has been revealed? Nobody can tell before."""
    return request.canary is not None and commitment(request.canary, "canary") == request.said.get("commitment")


def is_real(request: Request, salt: str | None) -> bool:
    """Can it be carried out? One that carries a commitment only where this salt opens it as real, which a planted one's never does."""
    said = request.said.get("commitment")
    return said is None or (salt is not None and commitment(salt, "real") == said)


def _time(told: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(told)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else None


def excluded(request: Request, roster: Roster) -> dict[str, str]:
    """Persons (`Principal.who`) whose approval never counts for this request, with why."""
    found: dict[str, str] = {}
    named = [(key, "launched the run") for key in request.said["launchers"]]
    for key, why in [(request.key, "signed the request"), (request.said["proposer"], "proposed it"), *named]:
        holding = roster.holdings.get(key)
        if holding is None:
            continue
        found[holding.principal.who] = why
        owner = roster.holdings.get(holding.principal.owner or "")
        if owner is not None:
            found[owner.principal.who] = "owns the agent that proposed it"
    return found


def standing(request: Request, state: Record, force: InForce, now: str) -> Standing:
    """Whether this request is granted. ``now`` is RFC 3339, by the clock of who asks; it is checked against the record."""
    if request.executed is not None:
        return Standing(status="executed", reasons=(f"carried out by entry {request.executed}",))
    changed = tuple(_changed(request, state, force))
    if changed:
        return Standing(status="void", reasons=changed)
    against = [f"key {answer.key} said no (entry {answer.index})" for answer in _counted(request, state) if not answer.approves]
    if against:
        return Standing(status="vetoed", reasons=tuple(against))
    return _in_time(request, state, force, _time(now))


def _changed(request: Request, state: Record, force: InForce) -> Iterator[str]:
    """What makes it another matter than the one that was asked."""
    said, roster = request.said, state.roster
    if said["workspace"] != state.workspace:
        yield f"it was asked in another workspace ({said['workspace']})"
    if not roster.counts(request.key, request.index):
        yield f"key {request.key}, which signed it, does not count"
    if said.get("by") != "run" and said["proposer"] != request.key:
        yield "it is signed by another key than its proposer's"
    if said["proposer"] not in roster.holdings:
        yield f"its proposer {said['proposer']} is nobody known"
    if said["policy"] != force.policy:
        yield "the policy has changed since"
    if (said["quorum"]["persons"], tuple(said["quorum"]["duties"])) != (force.persons, force.duties):
        yield "the policy asks for another quorum than the request says"
    for name, then, here in (
        ("what it is about", request.subjects, force.subjects),
        ("its evidence", tuple(said["evidence"]), force.evidence),
        ("what would be done", said["details"], force.details),
    ):
        if then != here:
            yield f"{name} has changed since"
    made, ends = _time(said["requested_at"]), _time(said["expires_at"])
    if made is None or ends is None or not timedelta(0) < ends - made <= timedelta(hours=force.hours):
        yield f"it does not expire within {force.hours:g} hours of being made"


def _counted(request: Request, state: Record) -> list[Answer]:
    """Answers by keys of persons that counted when they signed, and still do."""
    return [answer for answer in request.answers if answer.index > request.index and _is_person(answer, state)]


def _is_person(answer: Answer, state: Record) -> bool:
    holding = state.roster.holdings.get(answer.key)
    if holding is None or holding.principal.role != "person":
        return False
    kinds = ("person", "demo") if state.demo else ("person",)
    return holding.principal.kind in kinds and state.roster.counts(answer.key, answer.index)


def _in_time(request: Request, state: Record, force: InForce, now: datetime | None) -> Standing:
    made, ends = (datetime.fromisoformat(request.said[name]) for name in ("requested_at", "expires_at"))
    newest = max(made, _time(state.latest) or made)
    if now is None or now < newest - SKEW:
        reason = (
            f"the clock here says {now.isoformat() if now else 'nothing'}, and the record was at {newest.isoformat()} already"
        )
        return Standing(status="open", reasons=(reason,), missing=("a clock that is right",))
    if max(now, newest) >= ends:
        return Standing(status="expired", reasons=(f"it had to be carried out before {request.said['expires_at']}",))
    return _tally(request, state, force, (made - SKEW, now + SKEW))


def _tally(request: Request, state: Record, force: InForce, between: tuple[datetime, datetime]) -> Standing:
    """Count distinct persons; the clock of each signature must agree with the record."""
    barred, reasons = excluded(request, state.roster), list[str]()
    signers: dict[str, list[Answer]] = {}
    for answer in _counted(request, state):
        who, at = state.roster.holdings[answer.key].principal.who, _time(answer.said.get("answered_at"))
        if who in barred:
            reasons.append(f"entry {answer.index} does not count: who signed it {barred[who]}")
        elif at is None or not between[0] <= at <= between[1]:
            reasons.append(f"entry {answer.index} does not count: it was signed by a clock that is off")
        else:
            signers.setdefault(who, []).append(answer)
    strangers = {answer.index for answer in request.answers} - {answer.index for answer in _counted(request, state)}
    reasons += [f"entry {index} does not count: no person's key in force" for index in sorted(strangers)]
    missing = tuple(_missing(list(signers.values()), state.roster, force))
    approvals = tuple(sorted(answers[0].index for answers in signers.values()))
    return Standing(status="open" if missing else "granted", reasons=tuple(reasons), approvals=approvals, missing=missing)


def _missing(signers: Sequence[Sequence[Answer]], roster: Roster, force: InForce) -> Iterator[str]:
    lacking = force.persons - len(signers)
    if lacking > 0:
        yield f"{lacking} more person{'s' if lacking > 1 else ''}"
    held = {duty for answers in signers for one in answers for duty in roster.holdings[one.key].principal.duties}
    for duty in force.duties:
        if duty not in held:
            yield f"a person with the duty {duty!r}"
