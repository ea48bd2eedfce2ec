"""Over-trust, measured: how long persons look before they sign, how often they say yes, and how many planted requests they catch.

Times are from the opening of the evidence (recorded by the account that opened it) to the signature. A person is a
`Principal.who`: several keys of one person count together.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from loopwright.intervals import wilson
from loopwright.ledger.acts import Answer, Request
from loopwright.ledger.fold import LoopState
from loopwright.ledger.names import name_of
from loopwright.ledger.principals import Principal, demonstration
from loopwright.ledger.quorum import is_canary

__all__ = ["trust"]


def trust(state: LoopState, root: Path) -> dict[str, Any]:
    """By person: answers, share approved, seconds looked, planted requests caught. Plain JSON, ``schema_version`` 1."""
    told: dict[str, list[tuple[Request, Answer]]] = {}
    for request in state.acts.requests.values():
        for answer in request.answers:
            holding = state.roster.holdings.get(answer.key)
            if holding is not None and holding.principal.role == "person":
                told.setdefault(holding.principal.who, []).append((request, answer))
    people = [_person(state, root, answers) for answers in told.values()]
    return {
        "schema_version": 1,
        "persons": people,
        "method": "shares: Wilson 95 %; seconds: from opening the evidence here to signing, median of answers that tell it",
    }


def _person(state: LoopState, root: Path, answers: Sequence[tuple[Request, Answer]]) -> dict[str, Any]:
    principal: Principal = state.roster.holdings[answers[0][1].key].principal
    looked = [seconds for _, answer in answers if (seconds := _seconds(answer)) is not None]
    planted = [not answer.approves for request, answer in answers if is_canary(request)]
    return {
        "name": name_of(root, principal),
        "note": demonstration(principal),
        "answers": len(answers),
        "approved": _share([answer.approves for request, answer in answers if not is_canary(request)]),
        "without_opening": len(answers) - len(looked),
        "seconds_median": statistics.median(looked) if looked else None,
        "seconds_n": len(looked),
        "planted": len(planted),
        "caught": _share(planted),
    }


def _share(said: Sequence[bool]) -> dict[str, Any] | None:
    score = wilson(said)
    return asdict(score) if score else None


def _seconds(answer: Answer) -> float | None:
    """None where the evidence was not opened by the account that signed, or its clock says that it was opened afterwards."""
    try:
        opened, signed = (datetime.fromisoformat(answer.said[name]) for name in ("opened_at", "answered_at"))
        return seconds if (seconds := (signed - opened).total_seconds()) >= 0 else None
    except (KeyError, TypeError, ValueError):
        return None
