"""The gate, against the entries and the evidence's JSON."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from loopwright.gate.guards import luck, peak, worst_slice
from loopwright.sections import DecideSection
from tests.report.asking import (
    Log,
    Query,
    config,
    cycles,
    entry,
    flat,
    of,
    opened,
    summary,
    table,
    told,
)  # fmt: skip
from tests.report.records import Records
from tests.report.test_facts_log import decided, promoted
from tests.report.test_facts_persons import about, answers, duties, executed, planted


def policy(log: Log) -> dict[str, Any] | None:
    found = config(log, "decide")
    return found["config"] if found else None


def decision(log: Log) -> dict[str, Any] | None:
    file = log.root / f"cycles/{log.cycle}/decision.json"
    return json.loads(file.read_bytes()) if file.is_file() else None


def figures(log: Log, cycle: str | None = None) -> dict[str, Any]:
    return summary(log, "examine", cycle).get("figures", {})


def lights(log: Log, cycle: str | None = None) -> dict[str, str]:
    return summary(log, "decide", cycle).get("lights", {})


def lamps(log: Log) -> list[tuple[Any, ...]] | None:
    found = policy(log)
    if found is None:
        return None
    return [
        (name, figures(log).get(name), found["card"][name]["warn"], found["card"][name]["stop"], state)
        for name, state in lights(log).items()
    ]


def in_state(*states: str) -> Query:
    return lambda log: None if (found := lamps(log)) is None else [name for name, *_, state in found if state in states]


def kept(good: bool) -> str:
    return "kept" if good else "left"


def guards(said: dict[str, Any], wanted: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What a gain must not come with: left where the decision has the gate's sentence of it."""
    told = {name: [one for one in said["reasons"] if one.startswith(begin)] for name, begin in BEGINS.items()}
    limit = {"max_slice_drop": {"at most": wanted["max_slice_drop"]}, "best so far": {"at most": wanted["max_drop"]}}
    return [
        (name, *(found or [None]), limit.get(name), kept(not found)) for name, found in told.items() if found or name in limit
    ]


BEGINS = {"max_slice_drop": "slice ", "best so far": "gate score ", "seed luck": "over "}


def field(wanted: dict[str, Any]) -> tuple[Any, ...]:
    """The latest gap that was known when the cycle began: it holds a promotion where all of its interval is beyond the limit."""
    gap, rule = wanted["field"], wanted["field_gap"]
    assert rule["bad"] == "above"
    state = "stop" if gap["low"] > rule["stop"] else "warn" if gap["value"] > rule["warn"] else "fine"
    method = "laboratory less field; MOVER 95% (Zou and Donner, Stat. Med. 27 (2008) 1693)"
    return ("field_gap", {**{name: gap[name] for name in ("value", "low", "high", "n")}, "method": method}, limits(rule), state)


def statistical(log: Log) -> list[tuple[Any, ...]]:
    said, wanted = decision(log) or {}, policy(log) or {}
    if said.get("p_value") is None:
        return []
    p_value, gain, lost, look = said["p_value"], said["gain"], said["retention"], said["look"]
    return [
        ("significance", p_value, {"less than": said["alpha"]}, kept(p_value < said["alpha"])),
        ("min_gain", gain, {"at least": wanted["min_gain"]}, kept(gain["value"] >= wanted["min_gain"])),
        ("max_jump", gain, {"at most": wanted["max_jump"]}, kept(gain["value"] <= wanted["max_jump"])),
        *([("max_drop", lost, {"at least": -wanted["max_drop"]}, kept(lost["value"] >= -wanted["max_drop"]))] if lost else []),
        *guards(said, wanted),
        *([field(wanted)] if wanted["field"] else []),
        ("gate_uses", look, {"at most": wanted["gate_uses"]}, kept(look <= wanted["gate_uses"])),
    ]


def limits(rule: dict[str, Any]) -> dict[str, float]:
    return {f"{word} {rule['bad']}": rule[word] for word in ("warn", "stop") if rule[word] is not None}


def rules(log: Log) -> Any:
    card = (policy(log) or {}).get("card")
    if card is None:
        return None
    return table(
        "rule had threshold outcome",
        [*statistical(log), *((name, had, limits(card[name]), state) for name, had, _, _, state in lamps(log) or ())],
    )


def past(log: Log) -> dict[str, Any]:
    found = [(name, said) for name in cycles(log) if (said := summary(log, "decide", name))]
    columns = ("action", "p_value", "alpha", "gain")
    return table(
        "cycle decision p_value alpha gain reason",
        [(name, *map(said.get, columns), (said["reasons"] or [None])[0]) for name, said in found],
    )


def escalations(log: Log) -> dict[str, Any]:
    rows = []
    for name in [one for one in cycles(log) if decided(log, one) in {"hold", "halt"}]:
        asked = [one for one in of(log, "request") if one["predicate"]["details"].get("cycle") == name]
        said = ", ".join(each["predicate"]["answer"] for one in asked for each in answers(log, one))
        done = next((leaf for one in asked if (leaf := executed(log, one))), None)
        rows.append((name, decided(log, name), "; ".join(summary(log, "decide", name)["reasons"]), said, done))
    return table("cycle decision reason answers executed", rows)


def approver(log: Log) -> Any:
    gate = entry(log, "decide")
    if gate is None:
        return None
    rows = [
        ("gate", gate["keyid"], None, gate["predicate"]["finished_at"], gate["predicate"]["summary"]["action"], gate["leaf"])
    ]
    for asked in of(log, "request"):
        if asked["predicate"]["action"] == "promote" and about(log, asked) == log.cycle and not planted(log, asked):
            for each in answers(log, asked):
                said = each["predicate"]
                rows.append(
                    ("person", each["keyid"], duties(log, each["keyid"]), said["answered_at"], said["answer"], each["leaf"])
                )
    return table("kind key duties time decision leaf", rows)


def bypassed(log: Log) -> dict[str, Any]:
    rows: list[tuple[Any, ...]] = []
    before = None
    for name in cycles(log):
        begin, now = opened(log, name), opened(log, name)["predicate"].get("policy")
        if name in promoted(log) and decided(log, name) != "promote":
            asked = [one for one in of(log, "request") if one["predicate"]["action"] == "promote" and about(log, one) == name]
            by = next(done for one in asked if (done := executed(log, one)) is not None)
            rows.append((name, "promoted by persons", decided(log, name), by))
        if before is not None and now != before:
            rows.append((name, "policy changed", now, begin["leaf"]))
        before = now
    return table(
        "cycle what value leaf",
        [*rows, *((cycle, "rollback", why, leaf) for cycle, why, leaf in told(log, "rollback", "cycle", "reason", "leaf"))],
    )


GATE: dict[str, Query] = {
    "gate.decision": lambda log: decided(log, log.cycle),
    "gate.reasons": lambda log: summary(log, "decide").get("reasons"),
    "gate.rules": rules,
    "gate.lamps": lambda log: None if lamps(log) is None else table("figure score warn_at stop_at state", lamps(log) or ()),
    "gate.alarming": in_state("warn", "stop"),
    "gate.unmeasured": in_state("not measured"),
    "gate.alpha": lambda log: summary(log, "decide").get("alpha"),
    "gate.p_value": lambda log: summary(log, "decide").get("p_value"),
    "gate.looks": lambda log: summary(log, "decide").get("look"),
    "gate.spent": lambda log: summary(log, "decide").get("spent"),
    "gate.error_budget": lambda log: (policy(log) or {}).get("alpha"),
    "gate.test": lambda log: f"{said['test']}; {said['spending']}" if (said := decision(log)) else None,
    "gate.policy": lambda log: (decision(log) or {}).get("policy"),
    "gate.criteria": lambda log: (
        table("setting value", flat({name: value for name, value in found.items() if name not in {"envelope", "field"}})) if (found := policy(log)) else None
    ),
    "gate.criteria_fixed_at": lambda log: opened(log)["predicate"]["opened_at"],
    "gate.measured_at": lambda log: found["predicate"]["started_at"] if (found := entry(log, "evaluate")) else None,
    "gate.criteria_before": lambda log: opened(log)["leaf"] < found["leaf"] if (found := entry(log, "evaluate")) else None,
    "gate.history": past,
    "gate.counts": lambda log: {
        action: [said.get("action") for name in cycles(log) if (said := summary(log, "decide", name))].count(action)
        for action in ("promote", "hold", "reject", "halt")
    },
    "gate.escalations": escalations,
    "gate.approver": approver,
    "gate.bypassed": bypassed,
    "gate.no_escalations": lambda log: not any(decided(log, name) in {"hold", "halt"} for name in cycles(log)),
}  # fmt: skip


QUERIES = GATE


def test_the_gate_is_what_entries_and_evidence_say(recordings: Records) -> None:
    assert recordings.wrong(QUERIES) == {}


def test_the_guards_sentences_begin_as_the_facts_know_them() -> None:
    policy = DecideSection(headline=(4, 8), max_slice_drop=0.1)
    rows = [{"task": f"t{place}", "level": 4, "passed": False, "champion": True, "slices": "{}"} for place in range(20)]
    said = (
        worst_slice(policy, pl.DataFrame(rows)),
        peak(policy, 0.1, 0.9),
        luck({"model": [0.1, 0.9], "champion": [0.1, 0.9]}),
    )
    assert all(one.sentence.startswith(begin) for one, begin in zip(said, BEGINS.values(), strict=True))


def test_another_decision_gives_other_facts(recordings: Records) -> None:
    assert recordings.constant(QUERIES) == {}
