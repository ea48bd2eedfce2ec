"""After the laboratory: feedback-loop indicators by cycle, their trends, and what was seen in the field."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator
from typing import Any

from loopwright.ledger.field import METHOD, field_rows
from loopwright.ledger.fold import CycleRecord
from loopwright.report.facts.binding import fact, table
from loopwright.report.facts.cycles import seconds_between
from loopwright.report.facts.estimates import slope
from loopwright.report.facts.lineage import depths
from loopwright.report.facts.reading import Absent, Reader

_FIGURES = (
    "synthetic_share",
    "synthetic_age",
    "vendi",
    "entropy",
    "rare_recall",
    "generated_tails",
    "behaviours",
    "real_cross_entropy",
    "human_share",
)


def _examined(see: Reader) -> Iterator[CycleRecord]:
    yield from (record for record in see.cycles() if "examine" in record.phases)


@fact("monitor.feedback_loop", "measured")
def _feedback_loop(see: Reader) -> Any:
    depth, rows = depths(see), []
    for record in _examined(see):
        found = see.summary("examine", record)["figures"]
        lights = see.summary("decide", record).get("lights", {})
        alarming = [name for name, state in lights.items() if state in {"warn", "stop"}]
        rows.append([record.cycle, depth[record.cycle], *(found.get(name) for name in _FIGURES), ", ".join(alarming)])
    return table(f"cycle depth {' '.join(_FIGURES)} alarming", rows)


def _series(see: Reader, name: str) -> list[float]:
    found = (see.summary("examine", record)["figures"].get(name) for record in _examined(see))
    return [one["value"] for one in found if one]


@fact("monitor.trends", "fitted")
def _trends(see: Reader) -> Any:
    rows = [[name, slope(_series(see, name))] for name in _FIGURES]
    return table("figure slope", rows)


@fact("monitor.bias_drift", "measured")
def _bias_drift(see: Reader) -> Any:
    rows = []
    for record in _examined(see):
        for column, told in see.summary("examine", record).get("slices", {}).items():
            rows.append([record.cycle, column, told["difference"], told["association"]])
    return table("cycle slice difference association", rows)


@fact("monitor.indicators", "measured")
def _indicators(see: Reader) -> Any:
    rules = {row[0]: row for row in see.fact("risk.thresholds")["rows"]}
    rows = []
    for name in rules:
        values = [one for record in _examined(see) if (one := see.summary("examine", record)["figures"].get(name))]
        rows.append([name, values[0] if values else None, values[-1] if values else None, rules[name][2], rules[name][3]])
    return table("figure first_value latest warn_at stop_at", rows)


def _seen(see: Reader) -> list[dict[str, Any]]:
    see.entries("observation")
    return field_rows(see.state)


@fact("monitor.observations")
def _observations(see: Reader) -> Any:
    columns = "leaf cycle metric value low high n period source observed_at"
    return table(columns, [{**row, "period": " \u2013 ".join(row["period"])} for row in _seen(see)])


@fact("monitor.no_observations", "counted")
def _no_observations(see: Reader) -> bool:
    return not _seen(see)


@fact("monitor.field_gap", "measured")
def _field_gap(see: Reader) -> Any:
    rows = [
        [row["leaf"], row["cycle"], row["metric"], row["sealed"], {**row["gap"], "method": METHOD}]
        for row in _seen(see)
        if row["gap"]
    ]
    if not rows:
        raise Absent("observation")
    return table("leaf cycle metric sealed gap", rows)


@fact("monitor.sources")
def _sources(see: Reader) -> list[str]:
    return list(dict.fromkeys(row["source"] for row in _seen(see)))


@fact("monitor.frequency", "measured")
def _frequency(see: Reader) -> float:
    times = [see.phase("evaluate", record).started_at for record in see.cycles() if "evaluate" in record.phases]
    if len(times) < 2:
        raise Absent("evaluate")
    return statistics.median(seconds_between(*pair) for pair in itertools.pairwise(times))


_SPEAKS = {
    "Art. 9": ("gate.criteria_before", "risk.alarms"),
    "Art. 10": ("dataset.synthetic_share", "filter.contaminated", "dataset.human_share"),
    "Art. 11": ("log.verified",),
    "Art. 12": ("log.entries", "log.verified"),
    "Art. 13": ("eval.slices",),
    "Art. 14": ("override.counts", "loop.automatic_promotions"),
    "Art. 15": ("eval.sealed", "eval.adversarial", "monitor.collapse"),
}


@fact("monitor.compliance", "derived")
def _compliance(see: Reader) -> Any:
    """Which facts speak of each requirement and what they say now; whether it is met is a person's to say."""
    rows = []
    for article, paths in _SPEAKS.items():
        for path in paths:
            value = see.maybe(path)
            rows.append([article, path, len(value["rows"]) if isinstance(value, dict) and "rows" in value else value])
    return table("requirement fact value", rows)
