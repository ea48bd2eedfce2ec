"""The counter: the one place where the app meets the persons' side of the record (`loopwright.govern`).

Over it go drafts out and signed letters in. Neither needs a right: what comes in is weighed there, by the code that weighs what is typed
at a terminal, and the app holds no key. Everything else here only reads.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from loopwright.budgets import lines
from loopwright.clock import now
from loopwright.consent import in_force
from loopwright.consent.matters import force_now
from loopwright.errors import PlanError, RefusedError, UsageError
from loopwright.govern.answers import Given
from loopwright.govern.digest import digest
from loopwright.govern.intake import Taken, take
from loopwright.govern.labels import label_letter
from loopwright.govern.letters import Letter, answer_letter, ask_letter, reply_letter, stop_letter
from loopwright.govern.outstanding import requests_open, stops
from loopwright.govern.requests import Desk, fields_of
from loopwright.govern.trust import trust
from loopwright.index import Index
from loopwright.ledger.acts import Request
from loopwright.ledger.fold import LoopState
from loopwright.ledger.quorum import Standing, standing
from loopwright.ledger.statement import payload_of, seal
from loopwright.plan import Plan
from loopwright.planfile import load_plan
from loopwright.workspace import Workspace

__all__ = [
    "Draft", "Given", "Letter", "Standing", "Taken", "answer", "ask", "bring", "digest_of", "label", "plan_of", "reply", "rules_of", "signature", "signed_words", "standing_of",
    "stop", "trust", "waiting",
]  # fmt: skip

RECENT = 50
"""Cycles of which a digest may tell: those of a day."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What one key is to sign: about a request, or by itself."""

    kind: str
    """``answer``, ``halt``, ``freeze``, ``resume`` or ``unfreeze``."""
    key: str
    request: str = ""
    approves: bool = True
    reason: str = ""
    opened_at: str | None = None


def _no_key(what: str) -> bytes:
    raise UsageError(f"the dashboard holds no key and asks for no {what}", "sign where the key is")


@contextmanager
def _desk(root: Path) -> Iterator[Desk]:
    with Desk(Workspace(root=root), _no_key) as desk:
        yield desk


def plan_of(root: Path) -> Plan | None:
    """The plan on disk; None where it cannot be read."""
    try:
        told = (root / "loop.yaml").stat()
        return _plan(root / "loop.yaml", told.st_mtime_ns, told.st_size)
    except (PlanError, OSError):
        return None


@lru_cache(maxsize=64)
def _plan(path: Path, _changed: int, _size: int) -> Plan:
    """Read once until it changes: YAML takes longer than all else on a page."""
    return load_plan(path)


def waiting(root: Path, plan: Plan, state: LoopState) -> list[dict[str, Any]]:
    """`requests_open`: what persons can still answer, or have granted."""
    return requests_open(root, plan, state, now())


def standing_of(root: Path, plan: Plan, state: LoopState, request: Request) -> Standing:
    """Where one request stands."""
    return standing(request, state, force_now(root, plan, state, request), now())


def rules_of(plan: Plan, state: LoopState) -> Mapping[str, Mapping[str, Any]]:
    """Persons and duties that ordinary and strict requests need, by the policy in force, and how many hours they live."""
    _, approvals = in_force(state, plan)
    return {
        name: {**quorum.model_dump(mode="json"), "hours": approvals.expires_hours}
        for name, quorum in (("ordinary", approvals.ordinary), ("strict", approvals.strict))
    }


def signed_words(index: Index, request: Request) -> Sequence[tuple[str, str]]:
    """The request as it was stored, field by field: what an answer signs."""
    [stored] = index.statements([request.index])
    return fields_of(payload_of("request", stored.subjects, stored.predicate))


def answer(root: Path, state: LoopState, draft: Draft) -> Letter:
    """The letter that answers a request."""
    with _desk(root) as desk:
        request = state.acts.requests[draft.request]
        return answer_letter(
            desk, request, draft.key, approves=draft.approves, reason=draft.reason.strip(), opened_at=draft.opened_at
        )


def stop(root: Path, draft: Draft) -> Letter:
    """The letter that halts the loop or freezes the workspace."""
    with _desk(root) as desk:
        return stop_letter(desk, draft.kind, draft.key, draft.reason)


def ask(root: Path, state: LoopState, draft: Draft) -> Letter:
    """The letter that asks persons to let the loop go on, or to lift a freeze."""
    with _desk(root) as desk:
        return ask_letter(desk, state, draft.kind, draft.key)


def label(root: Path, cycle: str, key: str, labels: Mapping[str, str]) -> Letter:
    """The letter that gives a second opinion on rows of a cycle."""
    with _desk(root) as desk:
        return label_letter(desk, cycle, labels, key)


def reply(root: Path, given: Given, key: str, files: Sequence[tuple[str, str, bytes]]) -> Letter:
    """The letter that answers a field of a report; ``files``: name, media type and bytes of each."""
    with _desk(root) as desk:
        return reply_letter(desk, given, key, files)


def signature(told: Any) -> bytes:
    """A signed letter from what a browser sends: ``payload`` and ``signature`` (base64) and ``key``; RefusedError where it is none."""
    try:
        payload, made = (base64.b64decode(told[name], validate=True) for name in ("payload", "signature"))
        return seal(payload, str(told["key"]), made)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise RefusedError("what the browser sent is no signature") from error


def bring(root: Path, data: bytes, drafted: Letter | None = None, answers: str | None = None) -> Taken:
    """Hand a signed letter over; see `loopwright.govern.intake.take`."""
    with _desk(root) as desk:
        return take(desk, data, drafted, answers=answers)


def digest_of(index: Index, root: Path, plan: Plan | None, state: LoopState) -> str:
    """The daily digest, from the index."""
    told = index.told
    rows = {row["cycle"]: row for row in (*index.told_of([told["champion"] or ""]), *index.latest(RECENT))}
    status = {
        "name": told["name"], "demo": told["demo"], "champion": told["champion"], "open": told["open"], "leaves": told["size"], "cycles": [rows[name] for name in sorted(rows)],
        "halts": stops(root, state, "halts"), "freezes": stops(root, state, "freezes"), "plan_error": None if plan else "unreadable",
        "requests": waiting(root, plan, state) if plan else [], "budgets": [asdict(line) for line in lines(plan.budgets, index.used)] if plan else [],
    }  # fmt: skip
    return digest(status, now())
