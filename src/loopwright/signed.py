"""What the record tells the decide phase: the envelope that persons signed, and how the field differs from the laboratory.

Resolved into the cycle's configuration when it begins, so that the decision stays a pure function of its inputs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loopwright.envelope import SETTINGS, SignedEnvelope, flat
from loopwright.errors import WaitingForPerson
from loopwright.ledger.field import gap, laboratory
from loopwright.ledger.fold import LoopState
from loopwright.plan import Plan
from loopwright.planfile import parse_envelope
from loopwright.sections import FieldGap
from loopwright.types import Digest, digest_bytes

__all__ = ["FILE", "envelope_for", "field_gap", "generation", "settings_of", "signed_envelope"]

FILE = "envelope.yaml"


def signed_envelope(state: LoopState, before: int | None = None) -> Digest | None:
    """Digest of the envelope in force: of the last executed request for one (before an entry); None where there is none."""
    done = [
        request for request in state.acts.requests.values() if request.action == "envelope" and request.executed is not None
    ]
    known = [request for request in done if before is None or (request.executed or 0) < before]
    last = max(known, key=lambda request: request.executed or 0, default=None)
    return last.subjects[0].digest if last is not None else None


def envelope_for(root: Path, plan: Plan, state: LoopState, cycle: str) -> SignedEnvelope | None:
    """The envelope that a cycle is decided under; one that is signed while a cycle is open holds from the next.

    Raises:
        PlanError: ``envelope.yaml`` says what it may not.
        WaitingForPerson: it is not the one that persons signed.
    """
    file = root / FILE
    data = file.read_bytes() if file.exists() else b"envelope: none\n"
    envelope = parse_envelope(data.decode("utf-8", errors="replace"), FILE)
    opened = state.cycles[cycle].index if cycle in state.cycles else None
    signed, found = signed_envelope(state, opened), digest_bytes(data)
    if cycle == "c0000" or (envelope is None and signed in {None, found}):
        return None
    if signed is None or signed != found or envelope is None:
        in_force = f"the one in force is {signed[:19]}" if signed else "none is in force"
        raise WaitingForPerson(
            f"{FILE} ({found[:19]}) is not signed; {in_force}",
            "put back what is in force with git, or `loopwright propose --envelope` asks persons to sign this one for the cycles to come",
        )
    return SignedEnvelope(
        digest=signed,
        envelope=envelope,
        settings=settings_of(plan),
        sources=tuple(source.origin for source in plan.sources),
        generation=generation(state, cycle),
        promote_inside=plan.approvals.promote_inside,
    )


def settings_of(plan: Plan) -> dict[str, Any]:
    """The plan's settings that an envelope speaks of, by dotted key."""
    return flat({name: getattr(plan, name).model_dump(mode="json") for name in SETTINGS})


def generation(state: LoopState, cycle: str) -> int:
    """Models between a cycle's rows and human data, each of which learnt from what the one before it wrote; 1 for c0001's."""
    parent, depth = state.cycles[cycle].parent if cycle in state.cycles else state.champion, 0
    while parent is not None:
        parent, depth = state.cycles[parent].parent, depth + 1
    return max(depth, 1)


def field_gap(state: LoopState, cycle: str) -> FieldGap | None:
    """The latest gap between the gate suite and the field that was on the record when the cycle opened."""
    opened = state.cycles[cycle].index if cycle in state.cycles else state.leaves
    for seen in reversed(state.acts.observations):
        measured = laboratory(state, seen.predicate["model"], "gate")
        if seen.index < opened and seen.predicate.get("laboratory") == "headline" and measured is not None:
            found = gap(measured, seen.predicate)
            return FieldGap(model=seen.predicate["model"], leaf=seen.index, **found)
    return None
