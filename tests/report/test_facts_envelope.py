"""The envelope of pre-determined changes against the request that brought it in, the cycle's entries and the recorded configuration."""

from __future__ import annotations

import json
from typing import Any

from tests.report.asking import Log, Query, config, cycles, entry, of, opened, summary, table
from tests.report.records import Records
from tests.report.test_facts import Entry
from tests.report.test_facts_gate import figures, in_state
from tests.report.test_facts_log import decided, rows
from tests.report.test_facts_monitor import groups_of, share
from tests.report.test_facts_persons import answers, duties, executed, promotions


def digest(log: Log, cycle: str | None = None) -> str | None:
    found = opened(log, cycle)["predicate"].get("envelope")
    return None if found in {None, "none"} else found


def request(log: Log) -> Entry | None:
    """The one that brought it in, carried out."""
    found = [one for one in of(log, "request") if one["predicate"]["action"] == "envelope" and executed(log, one) is not None]
    return next(
        (one for one in found if any(f"sha256:{each['digest']['sha256']}" == digest(log) for each in one["subject"])), None
    )


def brought(log: Log) -> Entry | None:
    return log[executed(log, asked)] if (asked := request(log)) else None  # type: ignore[index]


def force(log: Log) -> dict[str, Any] | None:
    found = (config(log, "decide") or {}).get("config", {}).get("envelope")
    return found if digest(log) else None


def of_rules(part: str) -> Any:
    return lambda log: found["envelope"][part] if (found := force(log)) else None


def bound(rule: dict[str, Any]) -> str:
    low, high, values = (rule.get(name) for name in ("low", "high", "values"))
    if values is not None:
        return ", ".join(map(str, values))
    if None not in (low, high):
        return f"[{low:g}, {high:g}]"
    return f"\u2264 {high:g}" if low is None else f"\u2265 {low:g}"


def bounds(part: str, columns: str) -> Query:
    return lambda log: (
        table(columns, [(name, bound(rule)) for name, rule in sorted(found.items())])
        if (found := of_rules(part)(log)) is not None
        else None
    )


def verdict(log: Log, cycle: str | None = None) -> dict[str, Any] | None:
    return summary(log, "decide", cycle).get("envelope")


def left(log: Log) -> list[str] | None:
    return [*said["left"], *said["stops"]] if (said := verdict(log)) else None


def had(log: Log, metric: str) -> Any:
    if metric == "gate":
        return summary(log, "evaluate")["gate"]["headline"]
    if metric.startswith("slice:"):
        column, _, value = metric.removeprefix("slice:").partition("=")
        return groups_of(log).get((column, value))
    return figures(log).get(metric)


def each_rule(log: Log, found: dict[str, Any]) -> list[tuple[str, str, Any]]:
    rules, recipe = found["envelope"], json.loads((log.root / f"cycles/{log.cycle}/model/training.json").read_bytes())["recipe"]
    settings = {**found["settings"], **{f"recipe.{name}": value for name, value in recipe.items()}}
    told = [(f"may_change {name}", bound(rule), settings.get(name)) for name, rule in rules["may_change"].items()]
    told += [(f"must_stay {name}", str(value), settings.get(name)) for name, value in rules["must_stay"].items()]
    told.append(("origins", ", ".join(rules["origins"]), ", ".join(found["sources"]) or None))
    told.append(("synthetic_share", f"\u2264 {rules['synthetic_share']:g}", figures(log).get("synthetic_share")))
    if rules["generation_depth"] is not None:
        told.append(("generation_depth", f"\u2264 {rules['generation_depth']}", found["generation"]))
    for part, word in (("performance", "performance"), ("stop", "stop rule")):
        told += [(f"{word} {name}", bound(rule), had(log, name)) for name, rule in rules[part].items()]
    told += [
        (f"tests {name}", f"n \u2265 {least}", (figures(log).get(name) or {}).get("n"))
        for name, least in rules["tests"].items()
    ]
    return told


def one_by_one(log: Log) -> Any:
    """A rule is left where a sentence of the gate begins with its name; sentences about no rule stand for themselves."""
    found, said = force(log), left(log)
    if found is None or said is None:
        return None
    words = [one.removeprefix("envelope: ") for one in said]
    rules = each_rule(log, found)
    spoken = {
        (place, name)
        for place, text in enumerate(words)
        for name, *_ in rules
        if text == name or text.startswith((f"{name}:", f"{name} "))
    }
    rows = [(*rule, "left" if rule[0] in {name for _, name in spoken} else "kept") for rule in rules]
    others = [(one, None, None, "left") for place, one in enumerate(said) if place not in {at for at, _ in spoken}]
    return table("rule allowed had outcome", [*rows, *others])


def history(log: Log) -> dict[str, Any]:
    found = [(name, verdict(log, name)) for name in cycles(log)]
    told = [
        (name, digest(log, name), said["inside"] if said else None, len(said["left"]) if said else None, decided(log, name))
        for name, said in found
    ]
    return table("cycle envelope inside rules_left decision", told)


def kept(log: Log) -> dict[str, Any]:
    found = [(name, entry(log, "decide", name)) for name in cycles(log) if decided(log, name) == "promote"]
    named = [
        (name, each["leaf"], {one["name"]: one["digest"] for one in each["predicate"]["inputs"]})
        for name, each in found
        if each
    ]
    return table(
        "cycle leaf evaluation card", [(name, leaf, used.get("evaluation"), used.get("card")) for name, leaf, used in named]
    )


def data_change(log: Log) -> dict[str, int] | None:
    """Rows before and after, by origin: what grew came in, what shrank went out."""
    before = opened(log)["predicate"]["prev"]
    if before is None:
        return None
    now, old = summary(log, "merge"), summary(log, "merge", before) or {"human": rows(log, before), "synthetic": 0}
    grown = [now[word] - old[word] for word in ("human", "synthetic")]
    return {
        "before": rows(log, before),
        "in": sum(max(one, 0) for one in grown),
        "out": sum(max(-one, 0) for one in grown),
        "after": now["rows"],
    }  # type: ignore[dict-item]


def affected(log: Log) -> dict[str, Any]:
    told, scores = entry(log, "examine"), summary(log, "evaluate")
    card = told["predicate"]["summary"] if told else None
    scored = sum(bool(scores.get(suite)) for suite in ("gate", "sealed")) + bool(summary(log, "decide").get("gain"))
    found = [
        ("Art. 9", "gate.alarming", in_state("warn", "stop")(log)),
        ("Art. 10", "cycle.data_change", data_change(log)),
        ("Art. 10", "dataset.synthetic_share", share(log)),
        ("Art. 12", "log.verified", not log.findings),
        ("Art. 13", "eval.worst_slice", None if card is None else len(card.get("slices", {}))),
        ("Art. 14", "sign.promotions", len(promotions(log)["rows"])),
        ("Art. 15", "cycle.score_change", scored if entry(log, "train") else None),
        ("Art. 15", "eval.stress", None if card is None else len(card.get("stress", {}))),
    ]
    return table("requirement fact value", found)


def signed_before(log: Log) -> bool | None:
    first = next((each["leaf"] for each in of(log, "open") if each["predicate"]["cycle"] == "c0001"), None)
    return brought(log)["leaf"] < first if brought(log) and first is not None else None  # type: ignore[index]


QUERIES: dict[str, Query] = {
    "envelope.none": lambda log: digest(log) is None,
    "envelope.signed": lambda log: digest(log) is not None,
    "envelope.id": digest,
    "envelope.version": lambda log: len({digest(log, name) for name in cycles(log)} - {None}) if digest(log) else None,
    "envelope.signed_at": lambda log: brought(log)["predicate"]["executed_at"] if brought(log) else None,  # type: ignore[index]
    "envelope.approvers": lambda log: table("key duties time leaf", [
        (each["keyid"], duties(log, each["keyid"]), each["predicate"]["answered_at"], each["leaf"])
        for each in answers(log, request(log) or {}) if each["predicate"]["answer"] == "approve"
    ]) if request(log) else None,
    "envelope.before_first": signed_before,
    "envelope.rules": one_by_one,
    "envelope.inside": lambda log: said["inside"] if (said := verdict(log)) else None,
    "envelope.left": left,
    "envelope.may_change": bounds("may_change", "setting allowed"),
    "envelope.must_stay": lambda log: (
        table("setting value", [(name, str(value)) for name, value in sorted(found.items())]) if (found := of_rules("must_stay")(log)) else None
    ),
    "envelope.origins": of_rules("origins"),
    "envelope.synthetic_share": of_rules("synthetic_share"),
    "envelope.generation_depth": of_rules("generation_depth"),
    "envelope.performance": bounds("performance", "metric allowed"),
    "envelope.tests": lambda log: table("figure least_n", sorted(found.items())) if (found := of_rules("tests")(log)) else None,
    "envelope.stops": bounds("stop", "metric allowed"),
    "envelope.evidence": kept,
    "envelope.history": history,
    "envelope.affected": affected,
}  # fmt: skip


def test_the_envelope_is_what_was_signed_and_what_the_cycle_had(recordings: Records) -> None:
    assert recordings.wrong(QUERIES) == {}


def test_another_envelope_gives_other_facts(recordings: Records) -> None:
    assert recordings.constant(QUERIES) == {}
