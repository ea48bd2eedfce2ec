"""What persons are asked for, and what a request for it would say now.

Where what would be said now (the files that lie here, the artifacts on the record, the halts that stand) is not what was
signed, the request is about something else and void.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loopwright.budgets import budgets_digest
from loopwright.ledger.acts import Request
from loopwright.ledger.fold import LoopState
from loopwright.ledger.quorum import STRICT, InForce
from loopwright.plan import Plan
from loopwright.policy import Approvals, Quorum
from loopwright.prompts import judge_code
from loopwright.types import Artifact, Digest, digest_bytes

__all__ = ["ACTIONS", "STRICT", "Ask", "describe", "force_now", "in_force", "quorum_of"]

ACTIONS: tuple[str, ...] = ("recipe", "judge", "policy", "resume", "promote", "unfreeze", "envelope", "admission")
"""What persons are asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """The matter of a request: what would be done, to which bytes, on which evidence."""

    action: str
    details: Mapping[str, Any]
    subjects: tuple[Artifact, ...]
    evidence: tuple[Digest, ...] = ()


def in_force(state: LoopState, plan: Plan) -> tuple[Digest, Approvals]:
    """Digest of the policy and who has to sign: what the last cycle was opened under, whatever the plan on disk says by now.

    Before the first cycle there is nothing that could be weakened: the plan's own.
    """
    for record in reversed(list(state.cycles.values())):
        if record.policy and record.approvals:
            return record.policy, Approvals.model_validate_json(json.dumps(dict(record.approvals)))
    return plan.policy, plan.approvals


@dataclass(frozen=True, slots=True, kw_only=True)
class _Here:
    """What lies here and is recorded now."""

    root: Path
    plan: Plan
    state: LoopState


def _file(here: _Here, details: Mapping[str, Any], kind: str) -> tuple[Artifact, ...]:
    path = here.root / details["path"]
    if not path.is_file() or not path.resolve().is_relative_to(here.root.resolve()):
        return ()
    return (Artifact(kind=kind, digest=digest_bytes(path.read_bytes()), path=details["path"]),)


def _recipe(here: _Here, details: Mapping[str, Any]) -> Ask:
    return Ask(action="recipe", details=details, subjects=_file(here, details, "recipe"))


def _envelope(here: _Here, details: Mapping[str, Any]) -> Ask:
    return Ask(action="envelope", details=details, subjects=_file(here, details, "envelope"))


def _judge(here: _Here, details: Mapping[str, Any]) -> Ask:
    digest = judge_code(here.root, here.plan)
    closed = [name for name, record in here.state.cycles.items() if record.closed_at]
    told = {"since": closed[-1] if closed else None}
    return Ask(action="judge", details=told, subjects=(Artifact(kind="judge", digest=digest, path="judge"),))


def _policy(here: _Here, details: Mapping[str, Any]) -> Ask:
    before, _ = in_force(here.state, here.plan)
    subject = Artifact(kind="policy", digest=here.plan.policy, path="loop.yaml")
    return Ask(action="policy", details={"replaces": before}, subjects=(subject,))


def _recorded(here: _Here, cycle: str, *kinds: str) -> tuple[Artifact, ...]:
    record = here.state.cycles.get(cycle)
    return tuple(found for kind in kinds if record and (found := record.artifact(kind)))


def _promote(here: _Here, details: Mapping[str, Any]) -> Ask:
    cycle = details["cycle"]
    evidence = tuple(one.digest for one in _recorded(here, cycle, "decision", "evaluation", "card"))
    told = {"cycle": cycle, "instead_of": here.state.champion}
    return Ask(action="promote", details=told, subjects=_recorded(here, cycle, "model"), evidence=evidence)


def _resume(here: _Here, details: Mapping[str, Any]) -> Ask:
    """All halts that stand, of persons and of the gate, and the budgets from here on: what came later was not asked for."""
    last = here.state.cycles.get(here.state.last or "")
    cycle = last.cycle if last and last.action == "halt" else None
    subjects = _recorded(here, cycle, "decision") if cycle else ()
    evidence = tuple(one.digest for one in _recorded(here, cycle, "card")) if cycle else ()
    told = {
        "cycle": cycle,
        "halts": [halt.index for halt in here.state.acts.halts],
        "budgets": budgets_digest(here.plan.budgets),
    }
    return Ask(action="resume", details=told, subjects=subjects, evidence=evidence)


def _unfreeze(here: _Here, details: Mapping[str, Any]) -> Ask:
    return Ask(action="unfreeze", details={"freezes": [freeze.index for freeze in here.state.acts.freezes]}, subjects=())


def _admission(_: _Here, details: Mapping[str, Any]) -> Ask:
    """Judging again after a canary that came back wrong: the failure is named by the digest of what was recorded of it."""
    return Ask(action="admission", details=details, subjects=())


_DESCRIBE: Mapping[str, Callable[[_Here, Mapping[str, Any]], Ask]] = {
    "recipe": _recipe,
    "judge": _judge,
    "policy": _policy,
    "resume": _resume,
    "promote": _promote,
    "unfreeze": _unfreeze,
    "envelope": _envelope,
    "admission": _admission,
}


def describe(root: Path, plan: Plan, state: LoopState, action: str, details: Mapping[str, Any] | None = None) -> Ask:
    """What a request for this would say now. ``details``: the ``path`` of a recipe or an envelope, the ``cycle`` to promote."""
    return _DESCRIBE[action](_Here(root=root, plan=plan, state=state), details or {})


def quorum_of(approvals: Approvals, action: str) -> Quorum:
    """Who has to sign for this kind of request."""
    return approvals.strict if action in STRICT else approvals.ordinary


def force_now(root: Path, plan: Plan, state: LoopState, request: Request) -> InForce:
    """What a request is held against: the policy in force, and what the same request would say now."""
    policy, approvals = in_force(state, plan)
    quorum = quorum_of(approvals, request.action)
    try:
        same = describe(root, plan, state, request.action, request.said["details"])
    except (KeyError, TypeError):  # an action or details that this version does not know: nothing it could carry out
        same = Ask(action=request.action, details={}, subjects=())
    return InForce(
        policy=policy,
        persons=quorum.persons,
        duties=quorum.duties,
        hours=approvals.expires_hours,
        subjects=same.subjects,
        evidence=same.evidence,
        details=dict(same.details),
    )
