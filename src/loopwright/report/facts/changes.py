"""What differs from the cycle before, and from the model that a model continues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loopwright.ledger.fold import CycleRecord
from loopwright.report.facts.binding import fact, table
from loopwright.report.facts.cycles import settings_of
from loopwright.report.facts.lineage import started_from
from loopwright.report.facts.reading import Absent, Reader

__all__ = ["changed", "rows_of", "scores_of"]


def _before(see: Reader) -> CycleRecord:
    return see.record(see.cycle.prev)


def rows_of(see: Reader, cycle: CycleRecord) -> int | None:
    """Rows of a cycle's training set."""
    if "merge" in cycle.phases:
        return int(see.summary("merge", cycle)["rows"])
    return int(see.summary("seed", cycle).get("human_rows", 0)) if "seed" in cycle.phases else None


def scores_of(see: Reader, cycle: CycleRecord) -> dict[str, Mapping[str, Any]]:
    """The headline scores that a cycle has, by suite."""
    said = see.summary("evaluate", cycle)
    return {suite: said[suite]["headline"] for suite in ("gate", "sealed") if said.get(suite)}


def changed(see: Reader, cycle: CycleRecord) -> list[str]:
    """Which kinds of change a cycle brought against the one before it: data, weights, code, judge, environment, plan, recipe."""
    if cycle.prev is None:
        return ["first"]
    before = see.record(cycle.prev)
    found = {
        "data": rows_of(see, cycle) != rows_of(see, before),
        "weights": cycle.artifact("model") is not None,
        "code": any(cycle.pins.get(name) != before.pins.get(name) for name in ("generator", "flows")),
        "judge": cycle.pins.get("judge") != before.pins.get("judge"),
        "environment": cycle.pins.get("lock") != before.pins.get("lock"),
        "plan": cycle.plan != before.plan,
        "recipe": bool(cycle.recipe),
    }
    return [name for name, on in found.items() if on]


@fact("cycle.changes", "derived")
def _changes(see: Reader) -> Any:
    now, before = see.cycle, _before(see)
    made, parent = now.artifact("model"), see.record(now.parent).artifact("model") if now.parent else None
    rows: list[list[Any]] = [
        ["model", parent.digest if parent else None, made.digest if made else None],
        ["rows", rows_of(see, before), rows_of(see, now)],
        ["plan", before.plan, now.plan],
        *[[name, before.pins.get(name), now.pins.get(name)] for name in sorted(now.pins)],
        ["recipe", *(told["digest"] if told else None for told in (before.recipe, now.recipe))],
        ["policy", before.policy, now.policy],
        ["envelope", see.opened(before).get("envelope"), see.opened(now).get("envelope")],
    ]
    for suite, score in scores_of(see, now).items():
        old = scores_of(see, before).get(suite)
        rows.append([f"{suite} score", old["value"] if old else None, score["value"]])
    return table("what before after changed", [[*row, row[1] != row[2]] for row in rows])


@fact("cycle.changed_settings", "derived")
def _changed_settings(see: Reader) -> Any:
    before, now = settings_of(see, _before(see)), settings_of(see, see.cycle)
    shared = {key.split(".")[0] for key in before} & {key.split(".")[0] for key in now}
    keys = sorted(key for key in before.keys() | now.keys() if key.split(".")[0] in shared and before.get(key) != now.get(key))
    return table("setting before after", [[key, before.get(key), now.get(key)] for key in keys])


@fact("cycle.changed_packages", "derived")
def _changed_packages(see: Reader) -> Any:
    before, now = (_packages(see, record) for record in (_before(see), see.cycle))
    keys = sorted(key for key in before.keys() & now.keys() if before[key] != now[key])
    return table("package before after", [[key, before[key], now[key]] for key in keys])


def _packages(see: Reader, cycle: CycleRecord) -> dict[str, str]:
    found: dict[str, str] = {}
    for phase in cycle.phases:
        found.update(see.phase(phase, cycle).environment.get("packages", {}))
    return found


@fact("cycle.data_change", "counted")
def _data_change(see: Reader) -> dict[str, int]:
    """Rows in and out by the totals of the merges; a retrained archive can lose rows, and then gains and losses are netted by origin."""
    now, before = see.cycle, _before(see)
    after, old = rows_of(see, now), rows_of(see, before)
    if after is None or old is None:
        raise Absent("merge")
    said, was = see.summary("merge", now), see.summary("merge", before) if "merge" in before.phases else None
    human = int(said["human"]) - (int(was["human"]) if was else old)
    synthetic = int(said["synthetic"]) - (int(was["synthetic"]) if was else 0)
    return {
        "before": old,
        "in": max(human, 0) + max(synthetic, 0),
        "out": -min(human, 0) - min(synthetic, 0),
        "after": after,
    }


@fact("cycle.score_change", "measured")
def _score_change(see: Reader) -> Any:
    """Against the model whose weights this one continues; the gain is the gate's own paired difference."""
    parent = started_from(see, see.cycle)
    before = scores_of(see, see.record(parent[1])) if parent and parent[1] else {}
    rows = [[suite, before.get(suite), score, None] for suite, score in scores_of(see, see.cycle).items()]
    gain = see.summary("decide").get("gain")
    rows += [["paired gain", None, None, gain]] if gain else []
    return table("metric before after change", rows)
