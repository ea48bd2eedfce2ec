"""What waits for somebody, and what stands: open requests with who may sign, halts, freezes, recalls in force, witnesses.

Folds over the record, as plain JSON; nothing here asks, answers or changes anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loopwright.consent import in_force, waiting
from loopwright.errors import LoopwrightError
from loopwright.ledger.acts import Request
from loopwright.ledger.fold import LoopState
from loopwright.ledger.names import name_of
from loopwright.ledger.principals import demonstration
from loopwright.ledger.quorum import excluded
from loopwright.ledger.statement import Statement
from loopwright.ledger.taint import spread
from loopwright.plan import Plan

__all__ = ["recalls_in_force", "requests_open", "stops", "witnesses_of"]


def requests_open(root: Path, plan: Plan, state: LoopState, now: str) -> list[dict[str, Any]]:
    """`loopwright.consent.waiting`, with who may sign."""
    rows = ((one.request, one.standing) for one in waiting(root, plan, state, now))
    return [
        {
            "request": one.id,
            "leaf": one.index,
            "action": one.action,
            "details": dict(one.said["details"]),
            "subjects": [{"kind": item.kind, "path": item.path, "digest": item.digest} for item in one.subjects],
            "evidence": list(one.said["evidence"]),
            "requested_at": one.said["requested_at"],
            "expires_at": one.said["expires_at"],
            "status": found.status,
            "missing": list(found.missing),
            "approvals": list(found.approvals),
            "may_sign": list(_may_sign(root, one, state)),
        }
        for one, found in rows
    ]


def _may_sign(root: Path, request: Request, state: LoopState) -> Iterator[dict[str, Any]]:
    """Enrolled persons whose approval would count and who have not answered; what they are called here."""
    barred, said = excluded(request, state.roster), {answer.key for answer in request.answers}
    answered = {state.roster.holdings[key].principal.who for key in said if key in state.roster.holdings}
    for person in state.roster.current("person"):
        if person.who not in barred and person.who not in answered:
            name, note = name_of(root, person), demonstration(person)
            yield {"name": name, "key": person.id, "duties": list(person.duties), "note": note}


def stops(root: Path, state: LoopState, kind: str) -> list[dict[str, Any]]:
    """Halts or freezes (``halts``, ``freezes``) that stand: entry, time, who, why."""
    found: tuple[Statement, ...] = getattr(state.acts, kind)
    return [
        {
            "leaf": one.index,
            "at": one.predicate.get("halted_at") or one.predicate.get("frozen_at"),
            "by": _who(root, state, one),
            "reason": one.predicate["reason"],
        }
        for one in found
    ]


def _who(root: Path, state: LoopState, one: Statement) -> str:
    holding = state.roster.holdings.get(one.keyid)
    return str(one.predicate.get("by") or (name_of(root, holding.principal) if holding else one.keyid))


def recalls_in_force(root: Path, state: LoopState) -> list[dict[str, Any]]:
    """What was recalled, why and by whom, and the cycles whose models that reaches; a recall of many parts is one."""
    parts: dict[tuple[str, str], list[Statement]] = {}
    for one in state.acts.recalls:
        parts.setdefault((one.predicate["artifact"], one.predicate["reason"]), []).append(one)
    return [_recall(root, state, said) for said in parts.values()]


def _recall(root: Path, state: LoopState, said: list[Statement]) -> dict[str, Any]:
    first = said[0]
    known = spread(state, {digest for one in said for digest in one.predicate["tainted"]})
    return {
        "artifact": first.predicate["artifact"],
        "what": first.predicate.get("what", first.predicate["artifact"]),
        "reason": first.predicate["reason"],
        "by": _who(root, state, first),
        "recalled_at": first.predicate["recalled_at"],
        "leaves": [one.index for one in said],
        "models": [name for name, record in state.cycles.items() if known.holds(record.artifact("model"))],
    }


def witnesses_of(root: Path, plan: Plan, state: LoopState) -> dict[str, Any]:
    """The rule in force, how far each named witness has seen this log, and what any of them brought back against it."""
    rule, ledger = in_force(state, plan)[1].witness, root / "ledger"
    if not rule.known and not (ledger / "refused").is_dir():
        return {"required": 0, "within_hours": rule.within_hours, "known": [], "against": []}
    from loopwright.ledger.refusals import contradictions  # late: `status` counts milliseconds
    from loopwright.ledger.sightings import sightings

    try:
        seen = {one.key.name: one.told() for one in (sightings(ledger, rule) if rule.known else ())}
        against = [f"{one.code}: {one.message}" for one in contradictions(ledger)]
    except (LoopwrightError, ValueError) as error:
        seen, against = {}, [str(error)]
    rows = []
    for key in rule.known:
        one = seen.get(key.partition("+")[0], {})
        size = one.get("size", 0)
        told = {"witness": key.partition("+")[0], "key": key, "size": size, "cosigned_at": one.get("cosigned_at")}
        rows.append({**told, "entries_since": state.leaves - size})
    return {"required": rule.required, "within_hours": rule.within_hours, "known": rows, "against": against}
