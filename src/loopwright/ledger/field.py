"""Field results against the laboratory: what a model scored where it was tested, less what it did where it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loopwright.ledger.fold import LoopState
from loopwright.types import Digest

__all__ = ["METHOD", "field_rows", "gap", "laboratory"]

METHOD = "laboratory less field; MOVER 95% (Zou and Donner, Stat. Med. 27 (2008) 1693)"


def laboratory(state: LoopState, model: Digest, suite: str) -> Mapping[str, Any] | None:
    """The headline score of a model on ``gate`` or ``sealed``; None where the record has none."""
    for record in state.cycles.values():
        made = record.artifact("model")
        if made is not None and made.digest == model and "evaluate" in record.phases:
            found = record.phases["evaluate"].summary.get(suite)
            return found["headline"] if found else None
    return None


def gap(measured: Mapping[str, Any], seen: Mapping[str, Any]) -> dict[str, Any]:
    """The difference with its interval: the two intervals' distances from their values, added in squares; ``n`` is the field's."""
    value = measured["value"] - seen["value"]
    down = ((measured["value"] - measured["low"]) ** 2 + (seen["high"] - seen["value"]) ** 2) ** 0.5
    up = ((measured["high"] - measured["value"]) ** 2 + (seen["value"] - seen["low"]) ** 2) ** 0.5
    return {"value": value, "low": value - down, "high": value + up, "n": seen["n"]}


def field_rows(state: LoopState) -> list[dict[str, Any]]:
    """Every observation in the order of the log, with the gap to the sealed score where it says that it can be compared."""
    return [_row(state, seen.index, seen.predicate) for seen in state.acts.observations]


def _row(state: LoopState, leaf: int, seen: Mapping[str, Any]) -> dict[str, Any]:
    cycles = [
        name for name, record in state.cycles.items() if (made := record.artifact("model")) and made.digest == seen["model"]
    ]
    sealed = laboratory(state, seen["model"], "sealed") if seen.get("laboratory") == "headline" else None
    same = ("model", "metric", "value", "low", "high", "n", "period", "source", "observed_at")
    return {
        "leaf": leaf,
        "cycle": cycles[0] if cycles else None,
        **{name: seen[name] for name in same},
        "sealed": dict(sealed) if sealed else None,
        "gap": {**gap(sealed, seen), "method": METHOD} if sealed else None,
    }
