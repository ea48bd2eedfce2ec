"""The incident of a document and the clocks and terms of the law, against the entries and ``reports/law.yaml`` as plain YAML."""

from __future__ import annotations

import calendar
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.report.asking import PHASES, Log, Query, answer, entry, maker, of, opened, output, table, when
from tests.report.records import Records
from tests.report.test_facts import Entry, kind
from tests.report.test_facts_log import latest
from tests.report.test_facts_persons import champion, ended

SPANS = ("hours", "days", "business_days", "weeks", "months", "years")


@cache
def read(file: Path) -> dict[str, Any]:
    return yaml.safe_load(file.read_text("utf-8"))


def law(log: Log) -> dict[str, Any]:
    """Of the workspace, where it has its own."""
    own = log.root / "reports/law.yaml"
    return read(own if own.is_file() else Path(__file__).parents[2] / "reports/law.yaml")


def ids(log: Log) -> list[str]:
    return list(dict.fromkeys(each["predicate"]["incident"] for each in of(log, "incident")))


def own(log: Log, name: str | None = None) -> list[Entry]:
    """Entries about one incident: that of the document, else the newest."""
    name = name or log.incident or (ids(log) or [""])[-1]
    return [each for each in of(log, "incident") if each["predicate"]["incident"] == name]


def facts(log: Log, name: str | None = None) -> dict[str, Any]:
    """What was told last under each name."""
    return {word: value for each in own(log, name) for word, value in each["predicate"]["facts"].items() if word != "report"}


def said(word: str) -> Query:
    return lambda log: facts(log).get(word)


def sent(log: Log, under: str | None = None) -> list[dict[str, Any]]:
    found = [{**told["report"], "leaf": each["leaf"]} for each in own(log) if "report" in (told := each["predicate"]["facts"])]
    return [one for one in found if under in {None, one["under"]}]


def over(log: Log, name: str | None = None) -> str | None:
    return next((each["predicate"]["told_at"] for each in own(log, name) if each["predicate"]["act"] == "close"), None)


def moment(log: Log, word: str, reports: list[dict[str, Any]]) -> str | None:
    now = facts(log)
    if word == "last_report_at":
        return max((one["sent_at"] for one in reports), default=None)
    if word == "first_aware_at":
        return min(filter(None, (now.get("aware_at"), now.get("deployer_aware_at"))), default=None)
    return now.get(word)


def clocks(log: Log, under: str | None) -> list[tuple[Any, ...]]:
    """Report, reference, classes of harm, due time, state, whole days left at the document's date (of a report that was sent: then)."""
    now, reports, rows = facts(log), sent(log, under or "eu"), []
    for one in law(log)["clocks"] if now and not now.get("near_miss") else ():
        harms = one.get("harm", [])
        concerns = one.get("incident") == now.get("kind") and (not harms or now.get("harm") in {None, *harms})
        if not concerns or one.get("under") != under or not (one.get("when") is None or now.get(one["when"])):
            continue
        start = moment(log, one["from"], reports)
        span = timedelta(hours=one.get("hours", 0), days=one.get("days", 0), weeks=one.get("weeks", 0))
        due = datetime.fromisoformat(start) + span if start else None
        stop = (moment(log, one["until"], reports) or over(log)) if one.get("until") else None
        forms = {"initial": {"initial", "intermediate", "final"}, "final": {"final"}}.get(one["report"], set())
        met = next((each["sent_at"] for each in reports if each["form"] in forms), None)
        state, due = ("met", None) if stop else ("met" if met else "running" if due else "waiting", due)
        left = due - datetime.fromisoformat(met or latest(log)[:19] + "Z") if due else None
        at = due.isoformat().replace("+00:00", "Z") if due else None
        rows.append((one["report"], one["ref"], harms, at, state, left.days if left is not None else None))
    return rows


def running(under: str | None) -> Query:
    return lambda log: min((due for _, _, _, due, state, _ in clocks(log, under) if state == "running" and due), default=None)


def all_clocks(under: str | None) -> Query:
    return lambda log: table("report ref harm due_at state days_left", found) if (found := clocks(log, under)) else None


def listed(log: Log) -> dict[str, Any]:
    rows = []
    for name in ids(log):
        now = facts(log, name)
        rows.append(
            (
                name,
                now["kind"],
                now.get("harm"),
                now.get("near_miss", False),
                now["aware_at"],
                over(log, name),
                own(log, name)[0]["leaf"],
            )
        )
    return table("incident kind harm near_miss aware_at closed_at leaf", rows)


def at(each: Entry) -> str:
    times = [value for word, value in each["predicate"].items() if word.endswith("_at") and word != "expires_at"]
    return max((time for time in times if isinstance(time, str)), default="")


def timeline(log: Log) -> dict[str, Any] | None:
    """From its beginning to its end: all but what is routine."""
    mine = own(log)
    if not mine:
        return None
    begin, end, rows = facts(log).get("started_at") or mine[0]["predicate"]["told_at"], over(log), []
    for each in log:
        told = each["predicate"]
        routine = kind(each) in {"genesis", "phase", "anchor", "answer", "import", "signature"}
        if routine or not (each in mine or (at(each) >= begin and (end is None or at(each) <= end))):
            continue
        what = next((told[word] for word in ("action", "act", "answer", "reason") if isinstance(told.get(word), str)), None)
        name = {"open": "cycle opened", "close": "cycle closed"}.get(kind(each), kind(each))
        rows.append((each["leaf"], at(each) or None, name, told.get("cycle"), what, each["keyid"]))
    return table("leaf time kind cycle what signer", rows)


def involved(log: Log) -> str | None:
    if not own(log):
        return None
    named = facts(log).get("model")
    return maker(log, named) if named else champion(log, own(log)[0]["leaf"])


def model(log: Log) -> dict[str, Any] | None:
    cycle = involved(log)
    if cycle is None:
        return None
    leaf = entry(log, "train", cycle)["leaf"]  # type: ignore[index]
    return table("cycle digest named leaf", [(cycle, output(log, "model", cycle), bool(facts(log).get("model")), leaf)])


def evidence(log: Log) -> dict[str, Any] | None:
    cycle = involved(log)
    made = [found for phase in PHASES if cycle and (found := entry(log, phase, cycle))]
    rows = [
        (cycle, each["predicate"]["phase"], one["kind"], one["digest"], each["leaf"])
        for each in made
        for one in each["predicate"]["outputs"]
    ]
    return table("cycle phase kind digest leaf", rows) if cycle else None


def actions(log: Log) -> dict[str, Any] | None:
    if not own(log):
        return None
    found = [each for each in of(log, "halt", "freeze", "recall", "rollback") if each["leaf"] > own(log)[0]["leaf"]]
    return table(
        "leaf time kind reason signer",
        [(each["leaf"], when(each), kind(each), each["predicate"]["reason"], each["keyid"]) for each in found],
    )


def near(log: Log) -> dict[str, Any]:
    rows = [
        (own(log, name)[0]["leaf"], facts(log, name)["aware_at"], "near miss", name)
        for name in ids(log)
        if facts(log, name).get("near_miss")
    ]
    decided = [
        each
        for each in of(log, "phase")
        if each["predicate"]["phase"] == "decide" and each["predicate"]["summary"]["action"] == "halt"
    ]
    rows += [
        (each["leaf"], each["predicate"]["finished_at"], "halted by the gate", each["predicate"]["cycle"]) for each in decided
    ]
    return table("leaf time what about", sorted(rows))


def freezes(log: Log) -> list[tuple[Entry, int | None]]:
    """Those that were in force at some time since the incident was opened, each with the entry that lifted it."""
    found = [(each, ended(log, each, "unfreeze")) for each in of(log, "freeze")]
    return [(each, end) for each, end in found if own(log) and (end is None or end > own(log)[0]["leaf"])]


def frozen(log: Log) -> dict[str, Any] | None:
    rows = []
    for each, end in freezes(log):
        last = [one["predicate"]["cycle"] for one in of(log, "open") if one["leaf"] < each["leaf"]][-1:]
        cycle = champion(log, each["leaf"])
        lock = opened(log, last[0])["predicate"]["lock"] if last else None
        rows.append(
            (each["leaf"], when(each), each["keyid"], end, *(output(log, what, cycle) for what in ("model", "archive")), lock)
        )
    return table("leaf time signer ended model archive lock", rows) if own(log) else None


def span(one: dict[str, Any]) -> tuple[int, str]:
    return next(((one[name], name) for name in SPANS if one.get(name)), (0, "days"))


def rules(*kinds: str) -> Query:
    def query(log: Log) -> Any:
        found = [one for one in law(log)["clocks"] if one.get("incident") in kinds and not one.get("under")]
        return table(
            "report ref harm length length_unit from",
            [(one["report"], one["ref"], one.get("harm", []), *span(one), one["from"]) for one in found],
        )

    return query


def since(log: Log, name: str | None) -> str | None:
    return {
        "release.eu_date": answer(log, "release.eu_date"),
        "log.last_at": latest(log),
        "incident.started_at": facts(log).get("started_at"),
    }.get(name or "")


def until(start: str | None, keep: dict[str, int]) -> str | None:
    """The last day of a term of months and years, which ends with the month where that has no such day."""
    if start is None:
        return None
    begin = date.fromisoformat(start[:10])
    month = begin.year * 12 + begin.month - 1 + keep.get("months", 0) + 12 * keep.get("years", 0)
    year, month = month // 12, month % 12 + 1
    return date(year, month, min(begin.day, calendar.monthrange(year, month)[1])).isoformat()


def keep(row: str) -> Query:
    def query(log: Log) -> Any:
        [rule] = [one for one in law(log)["retention"] if one["id"] == row]
        start = since(log, rule.get("from"))
        cells = (
            rule["ref"],
            *span(rule["keep"]),
            rule.get("least", False),
            rule.get("from"),
            start,
            until(start, rule["keep"]),
        )
        return table("ref length length_unit least from counted_from until", [cells])

    return query


def clock(row: str) -> Query:
    def query(log: Log) -> Any:
        found = [one for one in law(log)["clocks"] if one["field"] == row]
        rows = [(one["ref"], *span(one), one.get("before", False), one["from"], one.get("every", False)) for one in found]
        return table("ref length length_unit before_it from every", rows)

    return query


TOLD = (
    "kind", "started_at", "ended_at", "aware_at", "deployer_aware_at", "causal_link_at", "resolved_at", "near_miss", "internal_use", "imminent_danger",
    "member_states",
)  # fmt: skip
KEPT = {"documentation": 1, "logs": 2, "model_documentation": 3, "safety": 4, "incidents": 5, "declaration": 7}
CLOCKS = {"notification": 1, "information": 2, "update": 3, "framework": 4, "assessment": 5, "model_report": 6, "summary": 9}

INCIDENT: dict[str, Query] = {
    **{f"incident.{word}": said(word) for word in TOLD},
    "incident.harm_class": said("harm"),
    "incident.id": lambda log: own(log)[0]["predicate"]["incident"] if own(log) else None,
    "incident.closed_at": over,
    "incident.all": listed,
    "incident.number": lambda log: 1 + len(sent(log)) if own(log) else None,
    "incident.report_type": lambda log: (
        None if not own(log) else "initial" if not sent(log) else "final" if facts(log).get("resolved_at") else "intermediate"
    ),
    **{f"incident.clocks{word}": all_clocks(under) for word, under in (("", None), ("_california", "california"), ("_new_york", "new-york"))},
    **{f"incident.due_at{word}": running(under) for word, under in (("", None), ("_california", "california"), ("_new_york", "new-york"))},
    "incident.due": all_clocks(None),
    "incident.reports": lambda log: table("report under sent_at recipient receipt leaf", [
        tuple(one.get(word) for word in ("form", "under", "sent_at", "recipient", "receipt", "leaf")) for one in sent(log)
    ]) if own(log) else None,
    "incident.complete": lambda log: (
        all(facts(log).get(word) is not None for word in ("started_at", "aware_at", "causal_link_at", "harm", "model")) if own(log) else None
    ),
    "incident.timeline": timeline,
    "incident.model": model,
    "incident.evidence": evidence,
    "incident.actions": actions,
    "incident.near_misses": near,
    "incident.frozen": lambda log: any(end is None for _, end in freezes(log)) if own(log) else None,
    "incident.freeze": frozen,
    "incident.none": lambda log: not of(log, "incident"),
    "incident.no_gpai": lambda log: facts(log).get("kind") != "gpai",
    "incident.no_art73": lambda log: facts(log).get("kind") != "art73",
}  # fmt: skip
LAW: dict[str, Query] = {
    **{f"policy.keep_{name}": keep(f"RT-{row}") for name, row in KEPT.items()},
    **{f"policy.clock_{name}": clock(f"CL-{row}") for name, row in CLOCKS.items()},
    "incident.clock_rules": rules("gpai", "art73"),
    "incident.clock_rules_gpai": rules("gpai"),
    "incident.clock_rules_art73": rules("art73"),
}
QUERIES = {**INCIDENT, **LAW}


def test_an_incident_is_what_persons_told_and_its_clocks_are_the_laws(recordings: Records) -> None:
    assert recordings.wrong(QUERIES) == {}


def test_another_incident_and_another_law_give_other_facts(recordings: Records) -> None:
    assert recordings.constant(QUERIES) == {}
