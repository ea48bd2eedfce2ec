"""The catalogue against queries that share no code with it, in breadth: values of statements, tables of entries, sums over cycles, what persons said."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loopwright.ledger.audit import audit
from loopwright.report.facts import Fact, catalogue
from loopwright.report.facts.registry import names
from loopwright.report.loading import load
from tests.report.test_facts import QUERIES, Entry, changed, kind, one, opened, raw

Query = Callable[[list[Entry], Path], Any]
CYCLES = ("c0000", "c0001", "c0002")


def phase(name: str, *keys: str) -> Query:
    """What the statement of a phase says under these keys; None where it says nothing."""

    def query(entries: list[Entry], _: Path) -> Any:
        value = one(entries, "phase", "c0002", name)
        for key in keys:
            value = value.get(key) if value is not None else None
        return value

    return query


def figure(name: str) -> Query:
    return phase("examine", "summary", "figures", name)


def rows(path: str, query: Query, *columns: str) -> Query:
    """Marks a query as one for some columns of a table."""
    query.__dict__["table"] = (path, columns)
    return query


STATED: dict[str, Query] = {
    "model.parameters_active": phase("train", "summary", "parameters"),
    "model.version": lambda entries, _: one(entries, "phase", "c0002", "train")["cycle"],
    "cycle.name": opened("cycle"),
    "cycle.prev": opened("prev"),
    "cycle.commit": opened("commit"),
    "cycle.seed": lambda entries, _: str(one(entries, "open", "c0002")["seed"]),
    "cycle.seconds": lambda entries, _: pytest.approx(_between(entries, "c0002"), abs=0.002),
    "run.executor": phase("train", "environment", "executor"),
    "dataset.synthetic_rows": phase("merge", "summary", "synthetic"),
    "dataset.human_share": phase("examine", "summary", "figures", "human_share", "value"),
    "dataset.text_tokens": phase("train", "summary", "tokens"),
    "gen.tasks": phase("generate", "summary", "tasks"),
    "filter.refused": phase("verify", "summary", "refused"),
    "filter.scanned": phase("verify", "summary", "scanned"),
    "filter.precision": phase("verify", "summary", "probe", "gold", "precision"),
    "filter.recall": phase("verify", "summary", "probe", "gold", "recall"),
    "filter.false_accept": phase("verify", "summary", "probe", "gold", "false_accept_rate"),
    "filter.false_refuse": phase("verify", "summary", "probe", "gold", "false_refuse_rate"),
    "filter.label_precision": figure("label_precision"),
    "eval.gate_all": phase("evaluate", "summary", "gate", "all"),
    "eval.sealed_all": phase("evaluate", "summary", "sealed", "all"),
    "eval.adversarial": phase("examine", "summary", "stress", "adversarial"),
    "eval.perturbed": phase("examine", "summary", "stress", "perturbed"),
    "eval.malformed": phase("examine", "summary", "stress", "malformed refused"),
    "eval.audit_precision": figure("gate_precision"),
    "eval.amplification": figure("amplification"),
    "eval.memorisation": figure("proxy_gold_gap"),
    "eval.surprisal": figure("generated_surprisal"),
    "monitor.own_output_share": phase("examine", "summary", "figures", "synthetic_share", "value"),
    "monitor.tails": figure("generated_tails"),
    "monitor.rare_recall": figure("rare_recall"),
    "monitor.real_fit": figure("real_cross_entropy"),
    "monitor.synthetic_age": figure("synthetic_age"),
    "monitor.sentinel": figure("sentinel"),
    "gate.decision": phase("decide", "summary", "action"),
    "gate.reasons": phase("decide", "summary", "reasons"),
    "gate.alpha": phase("decide", "summary", "alpha"),
    "gate.looks": phase("decide", "summary", "look"),
    "gate.criteria_fixed_at": opened("opened_at"),
    "gate.measured_at": phase("evaluate", "started_at"),
    "env.python": phase("train", "environment", "python"),
    "env.cpu": phase("train", "environment", "cpu"),
}
"""What one statement of the cycle says, or two."""

OVER_ALL: dict[str, Query] = {
    "loop.name": lambda entries, _: entries[0]["predicate"]["name"],
    "loop.workspace": lambda entries, _: entries[0]["predicate"]["workspace"],
    "loop.cycles": lambda entries, _: len({each["predicate"]["cycle"] for each in entries if kind(each) == "open" and each["predicate"]["cycle"] in CYCLES}),
    "loop.closed": lambda entries, _: sum(kind(each) == "close" and each["predicate"]["cycle"] in CYCLES for each in entries),
    "loop.promoted": lambda entries, _: [
        each["predicate"]["cycle"] for each in entries if kind(each) == "close" and each["predicate"]["action"] == "promote" and each["predicate"]["cycle"] in CYCLES
    ],
    "loop.champion": lambda entries, _: [each["predicate"]["champion"] for each in entries if kind(each) == "close"][-1],
    "log.entries": lambda entries, _: len(entries),
    "log.origin": lambda _, root: (root / "ledger/checkpoint").read_text().splitlines()[0],
    "log.root": lambda _, root: (
        "sha256:" + base64.b64decode((root / "ledger/checkpoint").read_text().splitlines()[2]).hex()
    ),
    "gate.counts": lambda entries, _: {
        action: Counter(each["predicate"]["action"] for each in entries if kind(each) == "close" and each["predicate"]["cycle"] in CYCLES)[action] for action in ("promote", "hold", "reject", "halt")
    },
    "cycle.pins": rows(
        "cycle.pins",
        lambda entries, _: [
            *((name, one(entries, "open", "c0002")["code"][name]) for name in ("flows", "generator", "judge")),
            ("lock", one(entries, "open", "c0002")["lock"]),
        ],
        "name", "digest",
    ),
    "cycle.phases": rows(
        "cycle.phases",
        lambda entries, _: [
            (said["phase"], each["keyid"], said["started_at"], said["finished_at"], said["seconds"], said["attempt"])
            for each in entries
            if kind(each) == "phase" and (said := each["predicate"])["cycle"] == "c0002"
        ],
        "phase", "signer", "started_at", "finished_at", "seconds", "attempt",
    ),
    "eval.history": rows(
        "eval.history",
        lambda entries, _: [
            (cycle, *(one(entries, "phase", cycle, "evaluate")["summary"][suite]["headline"] for suite in ("gate", "sealed")))
            for cycle in CYCLES
        ],
        "cycle", "gate", "sealed",
    ),
    "gate.history": rows(
        "gate.history", lambda entries, _: [(cycle, one(entries, "phase", cycle, "decide")["summary"]["action"]) for cycle in CYCLES], "cycle", "decision"
    ),
    "model.files": rows(
        "model.files",
        lambda _, root: sorted(
            (file.name, "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_size)
            for file in (root / "cycles/c0002/model").iterdir()
            if file.name != "manifest.json"
        ),
        "path", "sha256", "bytes",
    ),
    "log.by_kind": rows("log.by_kind", lambda entries, _: sorted(Counter(map(kind, entries)).items()), "kind", "count"),
    "sign.evaluation_keys": rows(
        "sign.evaluation_keys",
        lambda entries, _: [
            (each["predicate"]["phase"], each["keyid"])
            for each in entries
            if kind(each) == "phase" and each["predicate"]["cycle"] == "c0002" and each["predicate"]["phase"] in {"evaluate", "examine", "decide"}
        ],
        "phase", "signer",
    ),
}  # fmt: skip
"""Sums and tables over the whole record; of a table, the columns that are named."""


def _between(entries: list[Entry], cycle: str) -> float:
    from datetime import datetime

    begin, end = one(entries, "open", cycle)["opened_at"], one(entries, "close", cycle)["closed_at"]
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()


NOT_IN_A_SUMMARY = (
    "cycle.commit", "cycle.name", "cycle.prev", "cycle.seed", "env.", "gate.decision", "gate.measured_at", "model.version", "monitor.own_output_share",
    "run.executor",
)  # fmt: skip
"""What `changed` leaves as it is, or (own_output_share) what is drawn from another statement than the one it is held against."""


def shown(fact: Fact, query: Query) -> Any:
    """The fact as its query tells it: of a table, the columns asked for."""
    table = query.__dict__.get("table")
    if table is None or fact.value is None:
        return fact.value
    places = [fact.value["columns"].index(column) for column in table[1]]
    return [tuple(row[place] for place in places) for row in fact.value["rows"]]


def test_facts_are_what_the_entries_say(turned: Path) -> None:
    facts, entries = catalogue(audit(turned / "ledger"), turned, "c0002"), raw(turned)
    assert not {*STATED, *OVER_ALL} & QUERIES.keys()
    wrong = {}
    for path, query in {**STATED, **OVER_ALL}.items():
        said, wanted = shown(facts[path], query), query(entries, turned)
        if said != wanted:
            wrong[path] = (said, wanted)
    assert wrong == {}


def test_another_record_gives_other_facts(turned: Path) -> None:
    """Every statement of the cycle with other values in it: each fact follows, and none stays what it was."""
    record = audit(turned / "ledger")
    facts = catalogue(record, turned, "c0002")
    other, entries = changed(record, raw(turned), "")
    found = catalogue(other, turned, "c0002")
    follow = [path for path in STATED if facts[path].value and not path.startswith(NOT_IN_A_SUMMARY)]
    assert len(follow) > 20
    wrong = {path: found[path].value for path in follow if found[path].value != STATED[path](entries, turned)}
    assert wrong == {}
    assert [path for path in follow if found[path].value == facts[path].value] == []


def test_what_persons_said_is_what_the_facts_tell(answered: Path) -> None:
    """Every item of the profile: the newest entry names the file, the file has the words."""
    facts, entries = catalogue(audit(answered / "ledger"), answered), raw(answered)
    newest = {each["predicate"]["field"]: each["predicate"] for each in entries if kind(each) == "answer"}
    items = [field.id for field in load(answered, "profile").declaration.fields]
    assert len(items) > 70
    for item in items:
        said = newest[item]
        data = (answered / "answers" / f"{said['digest'].removeprefix('sha256:')}.json").read_bytes()
        assert "sha256:" + hashlib.sha256(data).hexdigest() == said["digest"]
        words = json.loads(data)["text"]
        assert facts[item].value == (_as(names()[item].show, words) if said["state"] == "statement" else None), item


def _as(show: str, words: str) -> Any:
    """The words as the fact is shown: a list by its lines, a yes or no, else as they are."""
    if show == "list":
        return words.splitlines()
    return words.strip().lower() in {"yes", "true", "ja"} if show == "yesno" else words
