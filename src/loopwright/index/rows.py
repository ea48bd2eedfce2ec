"""A cycle as a row of the index: a pure function of its own entries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from loopwright.ledger.fold import CycleRecord
from loopwright.ledger.overview import cycle_row

__all__ = ["COLUMNS", "row_of"]

COLUMNS: Mapping[str, str] = {
    "n": "INTEGER PRIMARY KEY",
    "cycle": "TEXT NOT NULL UNIQUE",
    "parent": "TEXT",
    "prev": "TEXT",
    "seed": "INTEGER",
    "opened_at": "TEXT",
    "closed_at": "TEXT",
    "decision": "TEXT",
    "champion_after": "TEXT",
    "gate": "REAL",
    "gate_low": "REAL",
    "gate_high": "REAL",
    "gate_n": "INTEGER",
    "sealed": "REAL",
    "sealed_low": "REAL",
    "sealed_high": "REAL",
    "sealed_n": "INTEGER",
    "gain": "REAL",
    "gain_low": "REAL",
    "gain_high": "REAL",
    "gain_n": "INTEGER",
    "p_value": "REAL",
    "accepted": "INTEGER",
    "refused": "INTEGER",
    "archive": "INTEGER",
    "tokens": "INTEGER",
    "seconds": "REAL",
    "wall_seconds": "REAL",
    "kwh": "REAL",
    "warns": "INTEGER",
    "stops": "INTEGER",
    "failures": "INTEGER",
    "recipe": "TEXT",
    "plan": "TEXT",
    "generator": "TEXT",
    "judge": "TEXT",
    "lock": "TEXT",
    "leaf": "INTEGER",
    "reasons": "TEXT",
}
"""Name and SQL type, in order. ``n``: the cycle's place in the order of opening. ``gate``, ``sealed``, ``gain``: headline scores with
their interval and n. ``archive``: rows so far. ``seconds``: of all phases; ``wall_seconds``: from opening to close. ``kwh``: measured, else
null. ``warns``, ``stops``: lights of the decision. ``leaf``: the entry that opened it. ``reasons``: JSON. What `overview.cycle_row` says is beside it,
in a table of its own: rows that are searched and sorted stay short."""


def row_of(record: CycleRecord, n: int) -> tuple[dict[str, Any], str]:
    """Values by column name, and `overview.cycle_row` as JSON."""
    told = cycle_row(record)
    lights = list(told["lights"].values())
    energy = [done.environment.get("energy_kwh") for done in record.phases.values()]
    measured = [value for value in energy if value is not None]
    decide = record.phases.get("decide")
    same = ("cycle", "parent", "prev", "seed", "opened_at", "closed_at", "decision", "accepted", "tokens", "wall_seconds")
    row = {
        "n": n,
        **{name: told[name] for name in same},
        **_score("gate", told["gate"]),
        **_score("sealed", told["sealed"]),
        **_score("gain", told["gain"]),
        "champion_after": record.champion_after,
        "p_value": decide.summary.get("p_value") if decide else None,
        "refused": sum(told["refused"].values()) if told["refused"] else None,
        "archive": (told["archive"] or {}).get("rows"),
        "seconds": sum(told["seconds"].values()),
        "kwh": sum(measured) if measured else None,
        "warns": lights.count("warn"),
        "stops": lights.count("stop"),
        "failures": len(record.failures),
        "recipe": record.recipe["digest"] if record.recipe else None,
        "plan": record.plan,
        "generator": record.pins.get("generator"),
        "judge": record.pins.get("judge"),
        "lock": record.pins.get("lock"),
        "leaf": record.index,
        "reasons": json.dumps(told["reasons"]),
    }
    return row, json.dumps(told, sort_keys=True)


def _score(name: str, score: Mapping[str, Any] | None) -> dict[str, Any]:
    keys = {"": "value", "_low": "low", "_high": "high", "_n": "n"}
    return {f"{name}{end}": score.get(key) if score else None for end, key in keys.items()}
