"""Risks, and what is watched after the gate: figures, their trends, results from the field, against the entries and the evidence's JSON."""

from __future__ import annotations

import itertools
import json
import statistics
from collections import Counter
from typing import Any

from tests.report.asking import Log, Query, between, cycles, entry, maker, of, opened, summary, table, told, trend
from tests.report.records import Records
from tests.report.test_facts_gate import GATE, figures, lamps, lights, policy
from tests.report.test_facts_log import alone
from tests.report.test_facts_persons import counts


def figure(name: str) -> Query:
    return lambda log: figures(log).get(name)


def card(log: Log) -> list[tuple[Any, ...]] | None:
    found = (policy(log) or {}).get("card")
    return (
        [(name, one["bad"], one["warn"], one["stop"]) for name, one in found.items() if isinstance(one, dict)]
        if found
        else None
    )


def alarms(log: Log) -> dict[str, Any]:
    rows = [
        (name, which, state, figures(log, name).get(which))
        for name in cycles(log)
        for which, state in lights(log, name).items()
        if state in {"warn", "stop"}
    ]
    return table("cycle figure state score", rows)


def synthetic(log: Log, cycle: str) -> int:
    return summary(log, "merge", cycle).get("synthetic", 0)


def depth(log: Log, cycle: str) -> int:
    """Most models, each trained on what the one before wrote, between a row of the training set and human data."""
    merged = entry(log, "merge", cycle)
    if merged is None:
        return 0
    before = next(one["path"].split("/")[1] for one in merged["predicate"]["inputs"] if one["name"] == "archive")
    deepest = depth(log, before)
    if synthetic(log, cycle) > synthetic(log, before):
        made = entry(log, "generate", cycle)
        writer = (
            next(maker(log, one["digest"]) for one in made["predicate"]["inputs"] if one["name"] == "model") if made else None
        )
        deepest = max(deepest, 1 + (depth(log, writer) if writer else 0))
    return deepest


def continues(log: Log) -> bool | None:
    training = entry(log, "train")
    if training is None:
        return None
    said = training["predicate"]
    return any(one["name"] == "model" for one in said["inputs"]) or bool((said["summary"].get("compute") or {}).get("base"))


def by_models(log: Log) -> int:
    """Recipe changes in force that an agent asked for."""
    agents = {
        one["predicate"]["principal"]["id"] for one in of(log, "enrol") if one["predicate"]["principal"]["kind"] == "agent"
    }
    used = [opened(log, name)["predicate"]["recipe"] for name in cycles(log)]
    asked = {
        f"sha256:{one['digest']['sha256']}": each["keyid"] for each in reversed(of(log, "request")) for one in each["subject"]
    }
    return sum(asked.get(one["digest"]) in agents for one in used if one)


def loop_sources(log: Log) -> dict[str, Any]:
    said = summary(log, "verify")
    judges = 1 if said.get("judge") else len(said.get("judge_models", []))  # a model elsewhere is named with its family
    rows = [
        ("models generate training data", synthetic(log, log.cycle) > 0),
        ("models write code", by_models(log)),
        ("models judge", judges),
        ("continues its own weights", continues(log)),
        ("promoted without a person", alone(log)),
        ("generation depth", depth(log, log.cycle)),
    ]
    return table("source value", rows)


RISK: dict[str, Query] = {
    "risk.thresholds": lambda log: table("figure bad warn_at stop_at", card(log) or ()) if policy(log) else None,
    "risk.alarms": alarms,
    "risk.loop_sources": loop_sources,
    "risk.behaviours": figure("behaviours"),
}

SHOWN = (
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


def examined(log: Log) -> list[str]:
    return [name for name in cycles(log) if entry(log, "examine", name)]


def feedback(log: Log) -> dict[str, Any]:
    rows = []
    for name in examined(log):
        alarming = ", ".join(which for which, state in lights(log, name).items() if state in {"warn", "stop"})
        rows.append((name, depth(log, name), *(figures(log, name).get(which) for which in SHOWN), alarming))
    return table(f"cycle depth {' '.join(SHOWN)} alarming", rows)


def measured(log: Log, which: str) -> list[dict[str, Any]]:
    return [found for name in examined(log) if (found := figures(log, name).get(which))]


def bias(log: Log) -> dict[str, Any]:
    found = [
        (name, column, said)
        for name in examined(log)
        for column, said in summary(log, "examine", name).get("slices", {}).items()
    ]
    return table(
        "cycle slice difference association",
        [(name, column, said["difference"], said["association"]) for name, column, said in found],
    )


def indicators(log: Log) -> Any:
    rows = [
        (name, *((found[0], found[-1]) if (found := measured(log, name)) else (None, None)), warn, stop)
        for name, _, warn, stop in card(log) or ()
    ]
    return table("figure first_value latest warn_at stop_at", rows) if policy(log) else None


def observations(log: Log) -> dict[str, Any]:
    columns = "leaf cycle metric value low high n period source observed_at"
    said = told(log, "observation", "leaf", "model", *columns.split()[2:])
    return table(
        columns, [(leaf, maker(log, model), *more[:5], " \u2013 ".join(more[5]), *more[6:]) for leaf, model, *more in said]
    )


def gaps(log: Log) -> Any:
    """The sealed headline less the field's value; the intervals' distances from their values added in squares."""
    rows = []
    for leaf, model, metric, comparable, seen in [
        (
            each["leaf"],
            each["predicate"]["model"],
            each["predicate"]["metric"],
            each["predicate"].get("laboratory") == "headline",
            each["predicate"],
        )
        for each in of(log, "observation")
    ]:
        cycle = maker(log, model)
        lab = (summary(log, "evaluate", cycle).get("sealed") or {}).get("headline") if comparable and cycle else None
        if lab:
            value = lab["value"] - seen["value"]
            low = value - ((lab["value"] - lab["low"]) ** 2 + (seen["high"] - seen["value"]) ** 2) ** 0.5
            high = value + ((lab["high"] - lab["value"]) ** 2 + (seen["value"] - seen["low"]) ** 2) ** 0.5
            method = "laboratory less field; MOVER 95% (Zou and Donner, Stat. Med. 27 (2008) 1693)"
            rows.append(
                (leaf, cycle, metric, lab, {"value": value, "low": low, "high": high, "n": seen["n"], "method": method})
            )
    return table("leaf cycle metric sealed gap", rows) if rows else None


def frequency(log: Log) -> float | None:
    times = [found["predicate"]["started_at"] for name in cycles(log) if (found := entry(log, "evaluate", name))]
    return statistics.median(itertools.starmap(between, itertools.pairwise(times))) if len(times) > 1 else None


def share(log: Log) -> float | None:
    human, made = (summary(log, "merge").get(word, 0) for word in ("human", "synthetic"))
    human = human or summary(log, "seed").get("human_rows", 0)
    return made / (human + made) if human + made else None


def collapse(log: Log) -> dict[str, int] | None:
    counted = Counter(state for *_, state in lamps(log) or ())
    return {state: counted[state] for state in ("fine", "warn", "stop", "not measured")} if policy(log) else None


def groups_of(log: Log) -> dict[tuple[str, str], Any]:
    """Scores on the gate set by slice and group, the levels among them."""
    file = log.root / f"cycles/{log.cycle}/evaluation/scores.json"
    said = json.loads(file.read_bytes())["gate"] if file.is_file() and entry(log, "evaluate") else {}
    slices = {**said.get("slices", {}), "level": said.get("levels", {})}
    return {(column, value): score for column, found in slices.items() for value, score in found.items()}


def held_out(log: Log) -> int | None:
    refused = summary(log, "verify").get("refused", summary(log, "seed").get("refused"))
    return (
        sum(count for reason, count in refused.items() if reason in {"held out", "contaminated"})
        if refused is not None
        else None
    )


def compliance(log: Log) -> dict[str, Any]:
    rows = [
        ("Art. 9", "gate.criteria_before", GATE["gate.criteria_before"](log)),
        ("Art. 9", "risk.alarms", len(alarms(log)["rows"])),
        ("Art. 10", "dataset.synthetic_share", share(log)),
        ("Art. 10", "filter.contaminated", held_out(log)),
        ("Art. 10", "dataset.human_share", float(found["value"]) if (found := figures(log).get("human_share")) else None),
        ("Art. 11", "log.verified", not log.findings),
        ("Art. 12", "log.entries", len(log)),
        ("Art. 12", "log.verified", not log.findings),
        ("Art. 13", "eval.slices", len(groups_of(log)) or None),
        ("Art. 14", "override.counts", counts(log)),
        ("Art. 14", "loop.automatic_promotions", alone(log)),
        ("Art. 15", "eval.sealed", (summary(log, "evaluate").get("sealed") or {}).get("headline")),
        ("Art. 15", "eval.adversarial", summary(log, "examine").get("stress", {}).get("adversarial")),
        ("Art. 15", "monitor.collapse", collapse(log)),
    ]
    return table("requirement fact value", rows)


MONITOR: dict[str, Query] = {
    "monitor.feedback_loop": feedback,
    "monitor.own_output_share": share,
    "monitor.collapse": collapse,
    **{f"monitor.{name}": figure(which) for name, which in {
        "diversity": "vendi", "entropy": "entropy", "tails": "generated_tails", "rare_recall": "rare_recall", "real_fit": "real_cross_entropy",
        "synthetic_age": "synthetic_age", "self_preference": "self_preference", "sentinel": "sentinel",
    }.items()},
    "monitor.bias_drift": bias,
    "monitor.trends": lambda log: table("figure slope", [(name, trend([one["value"] for one in measured(log, name)])) for name in SHOWN]),
    "monitor.observations": observations,
    "monitor.no_observations": lambda log: not of(log, "observation"),
    "monitor.field_gap": gaps,
    "monitor.indicators": indicators,
    "monitor.sources": lambda log: list(dict.fromkeys(source for (source,) in told(log, "observation", "source"))),
    "monitor.alarms": alarms,
    "monitor.frequency": frequency,
    "monitor.compliance": compliance,
}  # fmt: skip

QUERIES = {**RISK, **MONITOR}


def test_risks_and_what_is_watched_are_what_entries_and_evidence_say(recordings: Records) -> None:
    assert recordings.wrong(QUERIES) == {}


def test_other_figures_give_other_facts(recordings: Records) -> None:
    assert recordings.constant(QUERIES) == {}
