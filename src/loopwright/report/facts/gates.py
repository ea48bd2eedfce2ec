"""The gate: each rule with what was measured and its threshold, the lamps, the error budget, and what was held for persons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from loopwright.ledger.field import METHOD
from loopwright.ledger.quorum import is_canary
from loopwright.ledger.taint import promoted
from loopwright.report.facts.binding import alias, fact, table
from loopwright.report.facts.consents import answers, cycle_of, duties
from loopwright.report.facts.cycles import flat
from loopwright.report.facts.reading import Absent, Reader

for _name in ("decision", "reasons"):
    alias(f"gate.{_name}", f"cycle.{_name}")


def _summary(path: str, key: str) -> None:
    fact(path)(lambda see: see.phase("decide").summary.get(key))


for _path, _key in {"gate.alpha": "alpha", "gate.p_value": "p_value", "gate.spent": "spent", "gate.looks": "look"}.items():
    _summary(_path, _key)


def _decision(see: Reader) -> Mapping[str, Any]:
    see.phase("decide")
    return see.json(see.artifact("decision"), "decision.json")


def _policy(see: Reader) -> Mapping[str, Any]:
    return see.config("decide")["config"]


@fact("gate.error_budget")
def _error_budget(see: Reader) -> float:
    return float(_policy(see)["alpha"])


@fact("gate.test")
def _test(see: Reader) -> str:
    said = _decision(see)
    return f"{said['test']}; {said['spending']}"


@fact("gate.policy")
def _its_policy(see: Reader) -> str:
    digest = str(_decision(see)["policy"])
    see.digests.add(digest)
    return digest


@fact("gate.criteria")
def _criteria(see: Reader) -> Any:
    told = {key: value for key, value in _policy(see).items() if key not in {"envelope", "field"}}
    return table("setting value", [list(pair) for pair in flat(told)])


@fact("gate.criteria_fixed_at")
def _criteria_fixed_at(see: Reader) -> str:
    return see.cycle.opened_at


@fact("gate.measured_at")
def _measured_at(see: Reader) -> str:
    return see.phase("evaluate").started_at


@fact("gate.criteria_before", "derived")
def _criteria_before(see: Reader) -> bool:
    """By the order of the log, and not by a clock: the entry that binds plan and policy stands before the measurement's."""
    return see.cycle.index < see.phase("evaluate").index


@fact("gate.lamps", "measured")
def _lamps(see: Reader) -> Any:
    states, rules = see.phase("decide").summary.get("lights", {}), _policy(see).get("card", {})
    found = see.summary("examine").get("figures", {})
    rows = [
        [name, found.get(name), rules.get(name, {}).get("warn"), rules.get(name, {}).get("stop"), state]
        for name, state in states.items()
    ]
    return table("figure score warn_at stop_at state", rows)


@fact("monitor.collapse", "counted")
def _collapse(see: Reader) -> dict[str, int]:
    counted = Counter(row[4] for row in see.fact("gate.lamps")["rows"])
    return {state: counted[state] for state in ("fine", "warn", "stop", "not measured")}


def _in_state(see: Reader, *states: str) -> list[str]:
    return [row[0] for row in see.fact("gate.lamps")["rows"] if row[4] in states]


@fact("gate.alarming")
def _alarming(see: Reader) -> list[str]:
    return _in_state(see, "warn", "stop")


@fact("gate.unmeasured")
def _unmeasured(see: Reader) -> list[str]:
    return _in_state(see, "not measured")


@fact("gate.rules", "derived")
def _rules(see: Reader) -> Any:
    """The statistical rules of the policy, each held against what the decision and the evidence have; then the lamps."""
    rows = [
        *_tests(see),
        *([row[0], row[1], _limit(see, row[0], row[2], row[3]), row[4]] for row in see.fact("gate.lamps")["rows"]),
    ]
    return table("rule had threshold outcome", rows)


def _limit(see: Reader, name: str, warn: float | None, stop: float | None) -> dict[str, float]:
    side = _policy(see)["card"][name]["bad"]
    return {f"{word} {side}": limit for word, limit in (("warn", warn), ("stop", stop)) if limit is not None}


def _tests(see: Reader) -> Iterator[list[Any]]:
    """Rule, measured, threshold, outcome of what the gate tests; nothing of the first model, which is compared with none."""
    said, wanted = _decision(see), _policy(see)
    if said.get("p_value") is None:
        return
    yield ["significance", said["p_value"], {"less than": said["alpha"]}, _kept(said["p_value"] < said["alpha"])]
    gain = said["gain"]
    yield ["min_gain", gain, {"at least": wanted["min_gain"]}, _kept(gain["value"] >= wanted["min_gain"])]
    yield ["max_jump", gain, {"at most": wanted["max_jump"]}, _kept(gain["value"] <= wanted["max_jump"])]
    if said.get("retention"):
        lost = said["retention"]
        yield ["max_drop", lost, {"at least": -wanted["max_drop"]}, _kept(lost["value"] >= -wanted["max_drop"])]
    for rule, (begin, limit) in _GUARDS.items():
        sentence = next((one for one in said["reasons"] if one.startswith(begin)), None)
        if sentence is not None or limit in wanted:
            yield [rule, sentence, {"at most": wanted[limit]} if limit in wanted else None, _kept(sentence is None)]
    if wanted.get("field"):
        yield ["field_gap", *_field(wanted)]
    yield ["gate_uses", said["look"], {"at most": wanted["gate_uses"]}, _kept(said["look"] <= wanted["gate_uses"])]


_GUARDS = {
    "max_slice_drop": ("slice ", "max_slice_drop"),
    "best so far": ("gate score ", "max_drop"),
    "seed luck": ("over ", ""),
}
"""Rules whose numbers stand in no evidence but in the gate's own sentence, which is there where one was left: how it begins, and the
policy's limit."""


def _field(wanted: Mapping[str, Any]) -> Iterator[Any]:
    """The gap between laboratory and field, its limits, and whether it held the promotion: by the end of the interval that is mildest."""
    gap, rule = wanted["field"], wanted["field_gap"]
    sign = 1 if rule["bad"] == "above" else -1
    mildest = gap["low"] if rule["bad"] == "above" else gap["high"]
    over = {word: limit for word in ("warn", "stop") if (limit := rule.get(word)) is not None}
    stopped = "stop" in over and sign * mildest > sign * over["stop"]
    warned = "warn" in over and sign * gap["value"] > sign * over["warn"]
    yield {**{key: gap[key] for key in ("value", "low", "high", "n")}, "method": METHOD}
    yield {f"{word} {rule['bad']}": limit for word, limit in over.items()}
    yield "stop" if stopped else "warn" if warned else "fine"


def _kept(good: bool) -> str:
    return "kept" if good else "left"


@fact("gate.history")
def _history(see: Reader) -> Any:
    rows = []
    for record in see.cycles():
        said = see.summary("decide", record)
        if said:
            first = next(iter(said.get("reasons", ())), None)
            rows.append([record.cycle, said["action"], said.get("p_value"), said.get("alpha"), said.get("gain"), first])
    return table("cycle decision p_value alpha gain reason", rows)


@fact("gate.counts", "counted")
def _counts(see: Reader) -> dict[str, int]:
    found = Counter(row[1] for row in see.fact("gate.history")["rows"])
    return {action: found[action] for action in ("promote", "hold", "reject", "halt")}


@fact("gate.escalations")
def _escalations(see: Reader) -> Any:
    rows = []
    for record in see.cycles():
        if record.action in {"hold", "halt"}:
            see.phase("decide", record)
            asked = [one for one in see.requests() if one.said.get("details", {}).get("cycle") == record.cycle]
            see.leaf(*(index for one in asked for index in (one.index, *(answer.index for answer in one.answers))))
            said = ", ".join("approve" if answer.approves else "veto" for one in asked for answer in one.answers)
            rows.append(
                [
                    record.cycle,
                    record.action,
                    "; ".join(record.reasons),
                    said,
                    next((one.executed for one in asked if one.executed), None),
                ]
            )
    return table("cycle decision reason answers executed", rows)


@fact("gate.no_escalations")
def _no_escalations(see: Reader) -> bool:
    return not see.fact("gate.escalations")["rows"]


@fact("gate.approver")
def _approver(see: Reader) -> Any:
    done = see.phase("decide")
    rows: list[list[Any]] = [["gate", see.signer(done.index), None, done.finished_at, done.summary["action"], done.index]]
    rows += [
        ["person", one.key, duties(see, one.key), one.said.get("answered_at"), "approve" if one.approves else "veto", one.index]
        for asked, one in answers(see)
        if asked.action == "promote" and cycle_of(see, asked) == see.cycle.cycle and not is_canary(asked)
    ]
    return table("kind key duties time decision leaf", rows)


@fact("gate.bypassed", "derived")
def _bypassed(see: Reader) -> Any:
    """Where a model became champion though the gate had not promoted it, or the policy changed between two cycles."""
    rows, before = [], None
    champions = set(promoted(see.state))
    for record in see.cycles():
        if record.action != "promote" and record.cycle in champions:
            rows.append([record.cycle, "promoted by persons", record.action, _promoted_by(see, record.cycle)])
        if before is not None and record.policy != before:
            rows.append([record.cycle, "policy changed", record.policy, record.index])
        before = record.policy
    rows += [
        [said.predicate["cycle"], "rollback", said.predicate.get("reason"), said.index] for said in see.entries("rollback")
    ]
    return table("cycle what value leaf", rows)


def _promoted_by(see: Reader, cycle: str) -> int | None:
    """The entry that carried out persons' promotion of a cycle's model."""
    done = (one.executed for one in see.requests() if one.action == "promote" and cycle_of(see, one) == cycle)
    found = next((entry for entry in done if entry is not None), None)
    see.leaf(*([] if found is None else [found]))
    return found


@fact("sign.gate_key")
def _gate_key(see: Reader) -> str:
    return see.signer(see.phase("decide").index)


@fact("risk.thresholds")
def _thresholds(see: Reader) -> Any:
    rows = [
        [name, rule["bad"], rule.get("warn"), rule.get("stop")]
        for name, rule in _policy(see).get("card", {}).items()
        if isinstance(rule, dict)
    ]
    return table("figure bad warn_at stop_at", rows)


@fact("risk.alarms")
def _alarms(see: Reader) -> Any:
    rows = []
    for record in see.cycles():
        for name, state in see.summary("decide", record).get("lights", {}).items():
            if state in {"warn", "stop"}:
                rows.append([record.cycle, name, state, see.summary("examine", record).get("figures", {}).get(name)])
    return table("cycle figure state score", rows)


alias("monitor.alarms", "risk.alarms")


@fact("risk.loop_sources", "derived")
def _loop_sources(see: Reader) -> Any:
    """What the record shows of the sources that a recursive loop has; whether one is a risk, a person says."""
    names = {
        "models generate training data": "gen.used",
        "models write code": "code.by_models",
        "models judge": "system.models_as_tools",
        "continues its own weights": "model.same_model",
        "promoted without a person": "loop.automatic_promotions",
        "generation depth": "model.generation_depth",
    }
    rows = []
    for what, path in names.items():
        value = see.maybe(path)
        if path == "system.models_as_tools" and value is not None:
            value = sum(row[1] == "judges" for row in value["rows"])
        rows.append([what, value])
    if not rows:
        raise Absent("cycle")
    return table("source value", rows)
