"""The daily digest: a day of a loop in a few lines of plain text, for a mail or a chat. A pure function of what `status_of` says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

__all__ = ["digest"]

_WORDS = {"promote": "promoted", "reject": "rejected", "hold": "on hold", "halt": "halted"}
_SHOWN = 12


def digest(status: Mapping[str, Any], now: str, hours: float = 24.0) -> str:
    """What happened in the last ``hours``, where the loop stands, and what waits for whom.

    ``status`` is `loopwright.govern.status.status_of`'s; ``now`` is RFC 3339. Persons are counted, not named: mail is read by many.
    No text of a model is in it; what a person wrote as a reason is, on one line.
    """
    since = datetime.fromisoformat(now) - timedelta(hours=hours)
    closed = [row for row in status["cycles"] if row["closed_at"] and datetime.fromisoformat(row["closed_at"]) > since]
    parts = (
        [f"{status['name']}: {hours:g} hours to {now[:16].replace('T', ' ')} UTC", ""],
        _standing(status),
        _cycles(closed),
        _waiting(status["requests"], now),
        _used(status["budgets"]),
        ["", f"The record has {status['leaves']} entries; `loopwright verify` checks them, this text does not."],
    )
    return "\n".join(line for part in parts for line in part) + "\n"


def _standing(status: Mapping[str, Any]) -> Iterator[str]:
    if status["demo"]:
        yield "A demonstration: its persons are demonstration keys, not persons."
    for kind, word in (("freezes", "FROZEN"), ("halts", "HALTED")):
        for one in status[kind]:
            yield f"{word} since {one['at']} (entry {one['leaf']}): {' '.join(str(one['reason']).split())[:200]}"
    if status.get("plan_error"):
        yield "loop.yaml cannot be read: budgets and requests are not told. Next: loopwright config check"
    champion = next((row for row in status["cycles"] if row["cycle"] == status["champion"]), None)
    yield f"Champion {status['champion'] or 'none'}: sealed score {_score(champion['sealed'] if champion else None)}"
    if status["open"]:
        yield f"Cycle {status['open']} is open."


def _cycles(closed: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield ""
    counts = [f"{sum(row['decision'] == kind for row in closed)} {word}" for kind, word in _WORDS.items()]
    yield f"Cycles closed: {len(closed)}" + (f" ({', '.join(counts)})" if closed else "")
    for row in closed[-_SHOWN:]:
        yield f"  {row['cycle']} {_WORDS.get(row['decision'], row['decision'])}: sealed score {_score(row['sealed'])}"
    if len(closed) > _SHOWN:
        yield f"  and {len(closed) - _SHOWN} before these"


def _score(score: Mapping[str, Any] | None) -> str:
    if not score:
        return "not measured"
    return f"{score['value']:.3f} ({score['low']:.3f} to {score['high']:.3f}, n {score['n']}, {score['method']})"


def _waiting(requests: Sequence[Mapping[str, Any]], now: str) -> Iterator[str]:
    yield ""
    yield f"Waiting for persons: {len(requests)}" if requests else "Nothing waits for a person."
    for one in requests:
        about = ", ".join(
            f"{name} {value}"
            for name, value in one["details"].items()
            if isinstance(value, str) and not value.startswith("sha256:")
        )
        left = (datetime.fromisoformat(one["expires_at"]) - datetime.fromisoformat(now)).total_seconds() / 3600
        lacks = f"lacks {'; '.join(one['missing'])}" if one["missing"] else "granted: the next run carries it out"
        yield f"  {one['request'][7:19]} {one['action']}{f' ({about})' if about else ''}: {lacks}; expires in {left:.0f} h"


def _used(budgets: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    limited = [line for line in budgets if line["limit"]]
    if limited:
        yield ""
        yield "Budgets used:"
    for line in limited:
        share = line["used"] / line["limit"]
        yield f"  {line['name']}: {line['used']:.4g} of {line['limit']:.4g} {line['unit']} ({share:.0%}; {line['method']})"
