"""The log and the loop as a whole, fact by fact, against questions to its entries; in every record, real or altered."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import statistics
from collections import Counter
from typing import Any

from tests.report.asking import (
    PHASES,
    Log,
    Query,
    answer,
    any_order,
    between,
    closed,
    config,
    cycles,
    entry,
    flat,
    identity,
    maker,
    of,
    opened,
    output,
    own,
    summary,
    table,
    trend,
    when,
)  # fmt: skip
from tests.report.records import Records
from tests.report.test_facts import Entry, kind


def head(log: Log) -> list[str]:
    return log.notes[len(log)].splitlines()


def root(text: str) -> str:
    return "sha256:" + base64.b64decode(text.splitlines()[2]).hex()


def latest(log: Log) -> str:
    """The newest time that any entry tells, but when a request would expire."""
    return max(
        value
        for each in log
        for name, value in each["predicate"].items()
        if name.endswith("_at") and name != "expires_at" and isinstance(value, str)
    )


def witnesses(log: Log) -> dict[str, int]:
    """Lines below the checkpoints that are as long as a cosignature: key id, time, signature."""
    lines = [line for size, text in log.notes.items() if size <= len(log) for line in text.splitlines()[4:]]
    return Counter(line.split()[1] for line in lines if len(base64.b64decode(line.split()[2])) == 4 + 8 + 64)


def judge_changes(log: Log) -> list[Entry]:
    found = [opened(log, name) for name in cycles(log)]
    return [
        now
        for before, now in itertools.pairwise(found)
        if before["predicate"]["code"]["judge"] != now["predicate"]["code"]["judge"]
    ]


def event(each: Entry, what: str | None = None, at: str | None = None) -> list[Any]:
    said = each["predicate"]
    keys = ("cycle", "phase", "action", "act", "incident", "artifact", "metric", "reason")
    named = ", ".join(str(said[key]) for key in keys if said.get(key))
    return [each["leaf"], at or when(each), kind(each), what or named, each["keyid"]]


def events(found: list[list[Any]]) -> dict[str, Any]:
    return table("leaf time kind what signer", sorted(found, key=lambda row: row[0]))


def risky(log: Log) -> dict[str, Any]:
    acts = [event(each) for each in of(log, "halt", "freeze", "recall", "rollback", "incident")]
    ends = [event(each) for each in of(log, "close") if each["predicate"]["action"] in {"promote", "hold", "halt"}]
    judges = [event(each, f"{each['predicate']['cycle']}, judge changed") for each in judge_changes(log)]
    decided = [found for name in cycles(log) if (found := entry(log, "decide", name))]
    left = [
        event(each, f"{each['predicate']['cycle']}, envelope left", each["predicate"]["finished_at"])
        for each in decided
        if (each["predicate"]["summary"].get("envelope") or {}).get("left")
    ]
    return events([*acts, *ends, *judges, *left])


def measured(log: Log) -> dict[str, Any]:
    phases = [found for name in cycles(log) for phase in ("evaluate", "examine") if (found := entry(log, phase, name))]
    rows = [
        event(each, f"{each['predicate']['cycle']}, {each['predicate']['phase']}", each["predicate"]["finished_at"])
        for each in phases
    ]
    return events([*rows, *map(event, of(log, "observation"))])


def moved(log: Log) -> dict[str, Any]:
    ends = [each for each in of(log, "close") if each["predicate"]["action"] == "promote"]
    return events([*map(event, ends), *map(event, of(log, "recall", "rollback"))])


def gaps(log: Log) -> dict[str, Any]:
    """Cycles that nothing closed, times that run back by more than ten minutes, requests that nobody answered."""
    ended = {each["predicate"]["cycle"] for each in of(log, "close")}
    rows = [
        [each["leaf"], "no close", each["predicate"]["cycle"]]
        for each in of(log, "open")
        if each["predicate"]["cycle"] not in ended
    ]
    newest: str | None = None
    for each in log:
        now = when(each)
        if now and newest and between(now, newest) > 600:
            rows.append([each["leaf"], "time runs back", f"{newest} > {now}"])
        newest = max(filter(None, (newest, now)), default=None)
    heard = {each["predicate"].get("request") for each in of(log, "approval", "execute")}
    rows += [
        [each["leaf"], "no answer", each["predicate"]["action"]] for each in of(log, "request") if identity(each) not in heard
    ]
    return table("leaf what value", rows)


def days(log: Log) -> list[tuple[str, str]]:
    return [(time[:10], kind(each)) for each in log if (time := when(each))]


def by_kind(log: Log) -> dict[str, Any]:
    times = {name: sorted(time for each in own(log, name) if (time := when(each))) for name in sorted(set(map(kind, log)))}
    return table(
        "kind count first_at last_at",
        [(name, len(own(log, name)), *(found[:1] or [None]), *(found[-1:] or [None])) for name, found in times.items()],
    )


LOG: dict[str, Query] = {
    "log.entries": len,
    "log.origin": lambda log: head(log)[0],
    "log.root": lambda log: root(log.notes[len(log)]),
    "log.kinds": lambda log: dict(Counter(map(kind, log))),
    "log.by_kind": by_kind,
    "log.by_day": lambda log: table("day kind count", [(*key, count) for key, count in sorted(Counter(days(log)).items())]),
    "log.first_at": lambda log: log[0]["predicate"]["created_at"],
    "log.last_at": latest,
    "log.as_of": lambda log: latest(log)[:19] + "Z",
    "log.checkpoints": lambda log: sum(size <= len(log) for size in log.notes),
    "log.heads": lambda log: table("entries root", [(size, root(text)) for size, text in sorted(log.notes.items()) if size <= len(log)]),
    "log.verified": lambda log: not log.findings,
    "log.findings": lambda log: table("code where message", [(one.code, one.where, one.message) for one in log.findings]),
    "log.witnesses": lambda log: table("name count", sorted(witnesses(log).items())),
    "log.timestamps": lambda log: sum(int(file.stem) <= len(log) for file in log.root.glob("ledger/timestamps/*.tsr")),
    "log.risk_events": risky,
    "log.monitoring_events": measured,
    "log.deployer_events": moved,
    "log.failures": lambda log: len(of(log, "failure")),
    "log.gaps": gaps,
    "log.retention_days": lambda log: between(log[0]["predicate"]["created_at"], latest(log)) / 86400,
    "log.retention_least": lambda log: answer(log, "policy.retention"),
    "log.export": lambda log: f"loopwright export --cycle {log.cycle}; loopwright verify BUNDLE",
    "log.document_version": lambda log: f"{log.cycle}.{len(log)}",
    **{f"log.biometric_{name}": lambda _: None for name in ("uses", "databases", "matches")},  # only a deployer's log could tell
    "log.no_biometric": lambda log: None if (said := answer(log, "log.biometric")) is None else said.lower().startswith("no"),
}  # fmt: skip


def rows(log: Log, cycle: str) -> int | None:
    return summary(log, "merge", cycle).get("rows", summary(log, "seed", cycle).get("human_rows"))


def decided(log: Log, cycle: str) -> str | None:
    ended = closed(log, cycle)
    return ended["predicate"]["action"] if ended else summary(log, "decide", cycle).get("action")


def promoted(log: Log) -> list[str]:
    """Cycles whose model was the champion by the gate or by an executed request of persons."""
    by_persons = {each["predicate"].get("cycle") for each in of(log, "execute") if each["predicate"]["action"] == "promote"}
    return [name for name in cycles(log) if decided(log, name) == "promote" or name in by_persons]


def changed(log: Log, cycle: str) -> str:
    """What a cycle brought against the one before it."""
    now = opened(log, cycle)["predicate"]
    if now["prev"] is None:
        return "first"
    old = opened(log, now["prev"])["predicate"]
    found = {
        "data": rows(log, cycle) != rows(log, now["prev"]),
        "weights": output(log, "model", cycle) is not None,
        "code": any(now["code"].get(name) != old["code"].get(name) for name in ("generator", "flows")),
        "judge": now["code"]["judge"] != old["code"]["judge"],
        "environment": now["lock"] != old["lock"],
        "plan": now["plan"] != old["plan"],
        "recipe": bool(now["recipe"]),
    }
    return ", ".join(name for name, on in found.items() if on)


def history(log: Log) -> dict[str, Any]:
    found = []
    for name in cycles(log):
        begin, end, scores = opened(log, name)["predicate"], closed(log, name), summary(log, "evaluate", name)
        seconds = between(begin["opened_at"], end["predicate"]["closed_at"]) if end else None
        both = (scores[suite]["headline"] if scores.get(suite) else None for suite in ("gate", "sealed"))
        found.append((name, begin["parent"], begin["opened_at"], decided(log, name), *both, rows(log, name), seconds))
    return table("cycle parent opened_at decision gate sealed rows seconds", found)


def changelog(log: Log) -> dict[str, Any]:
    kinds = ("request", "approval", "execute", "halt", "freeze", "recall", "rollback", "enrol", "rotate", "revoke", "gc")
    found: list[list[Any]] = []
    for name in cycles(log):
        begin = opened(log, name)
        found.append(
            [begin["leaf"], begin["predicate"]["opened_at"], name, changed(log, name), decided(log, name), begin["keyid"]]
        )
    for each in of(log, *kinds):
        said = each["predicate"]
        what = next((str(said[key]) for key in ("action", "answer", "reason", "cycle") if said.get(key)), "")
        found.append([each["leaf"], when(each), kind(each), what, None, each["keyid"]])
    return table("leaf time event what decision signer", sorted(found, key=lambda row: row[0]))


def checks(log: Log) -> dict[str, Any]:
    """Who made what a phase left and whose phase checks it; the record here has no judge that is a model."""
    keys = {one["id"]: f"{one['role']} {one['id']} ({one['kind']})" for one in principals(log)}
    parent = opened(log)["predicate"]["parent"]
    found = []
    for phase, checker in {
        "generate": "verify",
        "verify": "examine",
        "train": "evaluate",
        "evaluate": None,
        "examine": None,
        "decide": None,
    }.items():
        made, by = entry(log, phase), entry(log, checker) if checker else None
        if made:
            model = output(log, "model", parent) if parent and phase in {"generate", "train"} else None
            model = made["predicate"]["summary"].get("external", {}).get("digest", model)
            verdict = "not checked" if by is None else "shared" if by["keyid"] == made["keyid"] else "independent"
            first = made["predicate"]["outputs"][0]["digest"]
            found.append((phase, first, keys[made["keyid"]], model, keys[by["keyid"]] if by else None, verdict))
    return table("phase made maker model checker verdict", found)


def principals(log: Log) -> list[dict[str, Any]]:
    return [*log[0]["predicate"]["principals"], *(each["predicate"]["principal"] for each in of(log, "enrol", "rotate"))]


def turned(log: Log) -> list[tuple[str, float]]:
    """Closed cycles after the first, each with its seconds."""
    ended = [(name, end) for name in cycles(log) if opened(log, name)["predicate"]["prev"] and (end := closed(log, name))]
    return [(name, between(opened(log, name)["predicate"]["opened_at"], end["predicate"]["closed_at"])) for name, end in ended]


def gains(log: Log) -> list[float]:
    """Sealed score less the parent's, an hour."""
    found = []
    for name, seconds in turned(log):
        mine, before = (summary(log, "evaluate", one).get("sealed") for one in (name, opened(log, name)["predicate"]["parent"]))
        if mine and before:
            found.append((mine["headline"]["value"] - before["headline"]["value"]) / (seconds / 3600))
    return found


def plan(log: Log) -> Any:
    """The settings of ``plan.json`` that the next cycles go by, where it is the plan that the cycle opened under."""
    if not (log.root / "plan.json").is_file():
        return None
    found = json.loads((log.root / "plan.json").read_bytes())
    beside = {"runtime", "record", "metrics", "versioning", "cycles", "budgets", "retention", "alerts", "labeller"}
    text = json.dumps({key: value for key, value in found.items() if key not in beside}, sort_keys=True, separators=(",", ":"))
    if "sha256:" + hashlib.sha256(text.encode()).hexdigest() != opened(log)["predicate"]["plan"]:
        return None
    parts = ("generator", "mix", "trainer", "evaluator", "model", "domain", "sources")
    return any_order(table("setting value", [leaf for part in parts for leaf in flat(found[part], part)]))


def triggers(log: Log) -> Any:
    card = (config(log, "decide") or {}).get("config", {}).get("card")
    if card is None:
        return None
    stops = [
        (name, "halts", rule["stop"]) for name, rule in card.items() if isinstance(rule, dict) and rule["stop"] is not None
    ]
    limits = [(name, "halts", value) for name, value in sorted(opened(log)["predicate"].get("budgets", {}).items())]
    return table("trigger effect threshold", [("every cycle", "evaluate, examine", None), *stops, *limits])


def alone(log: Log) -> float | None:
    """Share of promotions after the first that no person approved."""
    by = [approvers(log, name) for name in promoted(log) if name != "c0000"]
    return sum(not keys for keys in by) / len(by) if by else None


def approvers(log: Log, cycle: str) -> list[str]:
    asked = {
        identity(each)
        for each in of(log, "request")
        if each["predicate"]["action"] == "promote" and each["predicate"]["details"]["cycle"] == cycle
    }
    return [
        each["keyid"]
        for each in of(log, "approval")
        if each["predicate"].get("request") in asked and each["predicate"]["answer"] == "approve"
    ]


def steps(log: Log) -> dict[str, Any]:
    found = [one["predicate"] for phase in PHASES if (one := entry(log, phase))]
    names = [
        (said["phase"], *(", ".join(one[key] for one in said[side]) for side, key in (("inputs", "name"), ("outputs", "kind"))))
        for said in found
    ]
    return table("phase reads makes seconds", [(*name, said["seconds"]) for name, said in zip(names, found, strict=True)])


def pretrained(log: Log) -> bool:
    """Did a training begin with weights that no training of the record made?"""
    trainings = [found["predicate"] for name in cycles(log) if (found := entry(log, "train", name))]
    given = [one["digest"] for said in trainings for one in said["inputs"] if one["name"] == "model"]
    based = [
        said
        for said in trainings
        if (said["summary"].get("compute") or {}).get("base") and not any(one["name"] == "model" for one in said["inputs"])
    ]
    return bool(based) or any(maker(log, digest) is None for digest in given)


LOOP: dict[str, Query] = {
    "loop.name": lambda log: log[0]["predicate"]["name"],
    "loop.workspace": lambda log: log[0]["predicate"]["workspace"],
    "loop.demo": lambda log: log[0]["predicate"]["demo"],
    "loop.created_at": lambda log: log[0]["predicate"]["created_at"],
    "loop.cycles": lambda log: len(cycles(log)),
    "loop.closed": lambda log: sum(closed(log, name) is not None for name in cycles(log)),
    "loop.champion": lambda log: (
        [each["predicate"].get("champion") or each["predicate"]["cycle"] for each in of(log, "close", "rollback", "execute")
         if kind(each) != "execute" or each["predicate"]["action"] == "promote"] or [None]
    )[-1],
    "loop.promoted": promoted,
    "loop.history": history,
    "loop.version_graph": lambda log: table("cycle prev parent model changed decision promoted", [
        (name, opened(log, name)["predicate"]["prev"], opened(log, name)["predicate"]["parent"], output(log, "model", name), changed(log, name),
         decided(log, name), name in promoted(log))
        for name in cycles(log)
    ]),
    "loop.changelog": changelog,
    "loop.steps": steps,
    "loop.who_checks": checks,
    "loop.cycle_seconds": lambda log: [seconds for _, seconds in turned(log)],
    "loop.cycle_seconds_trend": lambda log: trend([seconds for _, seconds in turned(log)]),
    "loop.gain_per_hour": lambda log: [round(gain, 4) for gain in gains(log)],
    "loop.gain_per_hour_trend": lambda log: trend(gains(log)),
    "loop.plan_ahead": plan,
    "loop.cadence": lambda log: float(statistics.median(found)) if (found := [seconds for _, seconds in turned(log)]) else None,
    "loop.budgets": lambda log: table("limit value", sorted(opened(log)["predicate"].get("budgets", {}).items())),
    "loop.triggers": triggers,
    "loop.automatic_promotions": alone,
    "loop.pretrained": pretrained,
}  # fmt: skip

QUERIES = {**LOG, **LOOP}


def test_the_log_and_the_loop_are_what_the_entries_say(recordings: Records) -> None:
    assert recordings.wrong(QUERIES) == {}


def test_another_record_gives_another_log_and_loop(recordings: Records) -> None:
    assert recordings.constant(QUERIES) == {}
