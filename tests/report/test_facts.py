"""The catalogue of facts: complete, plain, drawn from the record alone; the most used values against queries that share no code with it."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from loopwright.errors import IntegrityError, UsageError
from loopwright.ledger.audit import LogAudit, audit
from loopwright.report.facts import Fact, catalogue
from loopwright.report.facts.binding import BOUND
from loopwright.report.facts.phrases import phrase, phrases
from loopwright.report.facts.registry import LANGUAGES, SHOWN, names, page
from tests.report.queries import Entry, kind, one, raw
from tests.run.small import copy_of


def phase(name: str, *keys: str, cycle: str = "c0002") -> Callable[[list[Entry], Path], Any]:
    """A query: what the statement of a phase says under these keys."""

    def query(entries: list[Entry], _: Path) -> Any:
        value = one(entries, "phase", cycle, name)
        for key in keys:
            value = value[key]
        return value

    return query


def output(name: str, wanted: str) -> Callable[[list[Entry], Path], Any]:
    return lambda entries, _: next(
        out["digest"] for out in one(entries, "phase", "c0002", name)["outputs"] if out["kind"] == wanted
    )


def opened(*keys: str) -> Callable[[list[Entry], Path], Any]:
    def query(entries: list[Entry], _: Path) -> Any:
        value = one(entries, "open", "c0002")
        for key in keys:
            value = value[key]
        return value

    return query


def config(name: str, *keys: str) -> Callable[[list[Entry], Path], Any]:
    def query(_: list[Entry], root: Path) -> Any:
        value = json.loads((root / f"cycles/c0002/config/{name}.json").read_bytes())
        for key in keys:
            value = value[key]
        return value

    return query


QUERIES: dict[str, Callable[[list[Entry], Path], Any]] = {
    "model.id": output("train", "model"),
    "model.parameters": phase("train", "summary", "parameters"),
    "model.weights_bytes": lambda _, root: (root / "cycles/c0002/model/model.safetensors").stat().st_size,
    "model.max_output": config("evaluate", "config", "max_new_tokens"),
    "cycle.parent": opened("parent"),
    "cycle.plan": opened("plan"),
    "cycle.opened_at": opened("opened_at"),
    "cycle.closed_at": lambda entries, _: one(entries, "close", "c0002")["closed_at"],
    "cycle.decision": phase("decide", "summary", "action"),
    "cycle.reasons": phase("decide", "summary", "reasons"),
    "cycle.launchers": opened("launchers"),
    "run.training_seconds": phase("train", "seconds"),
    "run.training_finished_at": phase("train", "finished_at"),
    "run.restarts": lambda entries, _: sum(
        entry["predicate"]["attempt"] - 1
        for entry in entries
        if kind(entry) == "phase" and entry["predicate"]["cycle"] == "c0002"
    ),
    "dataset.archive": output("merge", "archive"),
    "dataset.training_rows": lambda entries, root: sum(
        phase("merge", "summary", one)(entries, root) for one in ("human", "synthetic")
    ),
    "dataset.human_rows": phase("merge", "summary", "human"),
    "dataset.synthetic_share": lambda entries, root: (
        phase("merge", "summary", "synthetic")(entries, root)
        / sum(phase("merge", "summary", one)(entries, root) for one in ("human", "synthetic"))
    ),
    "dataset.training_tokens": phase("train", "summary", "tokens"),
    "gen.samples": phase("generate", "summary", "rows"),
    "gen.tokens": phase("generate", "summary", "tokens"),
    "gen.kept": phase("verify", "summary", "accepted"),
    "gen.discarded_reasons": phase("verify", "summary", "refused"),
    "gen.total_tokens": lambda entries, _: sum(
        entry["predicate"]["summary"]["tokens"] for entry in entries if entry["predicate"].get("phase") == "generate"
    ),
    "eval.gate": phase("evaluate", "summary", "gate", "headline"),
    "eval.sealed": phase("evaluate", "summary", "sealed", "headline"),
    "eval.gain": phase("decide", "summary", "gain"),
    "gate.p_value": phase("decide", "summary", "p_value"),
    "gate.error_budget": config("decide", "config", "alpha"),
    "gate.policy": lambda _, root: json.loads((root / "cycles/c0002/decision.json").read_bytes())["policy"],
    "monitor.entropy": phase("examine", "summary", "figures", "entropy"),
    "monitor.diversity": phase("examine", "summary", "figures", "vendi"),
    "env.lock": opened("lock"),
    "log.kinds": lambda entries, _: {
        name: sum(kind(entry) == name for entry in entries) for name in sorted(set(map(kind, entries)))
    },
    "sign.gate_key": lambda entries, _: next(
        entry["keyid"]
        for entry in entries
        if entry["predicate"].get("phase") == "decide" and entry["predicate"]["cycle"] == "c0002"
    ),
    "loop.demo": lambda entries, _: entries[0]["predicate"]["demo"],
}
"""The most used facts, each asked for straight from the entries' JSON and the files: no code of the catalogue, of folds or of readers."""

IN_FILES = {"model.weights_bytes", "model.max_output", "gate.error_budget", "gate.policy"}
"""Of these, the ones that stand in evidence: a changed record changes their digest, and they are refused."""


@pytest.fixture(scope="module")
def record(turned: Path) -> LogAudit:
    found = audit(turned / "ledger")
    assert not found.findings
    return found


@pytest.fixture(scope="module")
def facts(turned: Path, record: LogAudit) -> Mapping[str, Fact]:
    return catalogue(record, turned)


def test_each_name_has_words_a_function_and_a_line_in_the_page(repository: Path) -> None:
    from loopwright.report.facts.catalogue import _bound

    assert set(_bound()) == set(names())
    assert BOUND
    assert {name.show for name in names().values()} <= SHOWN
    for name in names().values():
        assert all(name.labels.get(language) for language in LANGUAGES), name.path
        assert name.what.endswith((".", "?")), name.path
    assert (repository / "docs/report-facts.md").read_text("utf-8") == page(), (
        "python -m loopwright.report.facts > docs/report-facts.md"
    )
    assert all(len(word) == len(LANGUAGES) and all(word.values()) for word in phrases().values())


WITHOUT_RECORD = ("compute.vector_", "compute.test_vectors", "policy.keep_", "policy.clock_", "incident.clock_rules")
"""What the law and its guidelines say, whatever the record is."""
SCORE = {"value", "low", "high", "n", "method"}


def shaped(show: str, value: Any) -> bool:
    """Is a value what the registry's word for it promises?"""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if show == "table":
        return set(value) == {"columns", "rows"} and all(len(row) == len(value["columns"]) for row in value["rows"])
    if show == "score":
        return set(value) == SCORE and value["low"] <= value["value"] <= value["high"]
    if show in {"counts", "list"}:
        return isinstance(value, dict if show == "counts" else list)
    if show == "yesno":
        return isinstance(value, bool)
    if show in {"text", "digest", "time"}:
        start = {"digest": "sha256:", "time": "20"}.get(show, "")
        return isinstance(value, str) and value.startswith(start)
    return number and (show not in {"share", "probability"} or 0 <= value <= 1)


@pytest.mark.parametrize("cycle", ["c0000", "c0001", "c0002"])
def test_each_fact_is_plain_and_stands_on_entries_of_the_record(turned: Path, record: LogAudit, cycle: str) -> None:
    facts = catalogue(record, turned, cycle)
    unlabelled = set()
    for path, name in names().items():
        fact = facts[path]
        assert all(0 <= leaf < record.covered for leaf in fact.leaves), path
        assert phrase(fact.method, "de"), (path, fact.method)
        if fact.value is None:
            continue
        assert json.loads(json.dumps(fact.value)) == fact.value, path
        assert shaped(name.show, fact.value), (path, name.show, fact.value)
        assert fact.leaves or fact.digests or path.startswith(WITHOUT_RECORD), path
        if name.show == "table":
            unlabelled |= {key for key in fact.value["columns"] if not all(phrase(key, language) for language in LANGUAGES)}
    assert not unlabelled


def test_an_older_record_has_facts_too(repository: Path) -> None:
    """The golden workspace was written by the first version, and has entries without the fields that came later."""
    root = repository / "tests/golden/v1"
    facts = catalogue(audit(root / "ledger"), root)
    found = {path: facts[path].value for path in names() if not path.startswith(("compute.", "energy."))}
    assert found["loop.name"] == "golden"
    assert found["log.entries"] == 8
    assert found["model.id"] is not None


@pytest.mark.parametrize("path", QUERIES)
def test_a_fact_is_what_an_independent_query_gives(turned: Path, facts: Mapping[str, Fact], path: str) -> None:
    assert facts[path].value == QUERIES[path](raw(turned), turned)


class _Told(list[Any]):
    """Statements with one of them changed."""


def changed(record: LogAudit, entries: list[Entry], path: str) -> tuple[LogAudit, list[Entry]]:
    """The record with another value behind the fact, as if it had been written so: numbers grow, words and digests differ."""
    entries = copy.deepcopy(entries)
    statements = [replace(said, predicate=copy.deepcopy(dict(said.predicate))) for said in record.statements]
    for told in (*(entry["predicate"] for entry in entries), *(said.predicate for said in statements)):
        CHANGES.get(path, _everything)(told)
    return replace(record, statements=statements), entries  # type: ignore[arg-type]


def _everything(told: Any) -> None:
    if told.get("cycle") != "c0002":
        return
    for key, value in told.items():
        if key in {
            "summary",
            "seconds",
            "finished_at",
            "closed_at",
            "opened_at",
            "plan",
            "lock",
            "config",
            "launchers",
            "attempt",
            "outputs",
        }:
            told[key] = _other(value)


def _other(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _other(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_other(item, key) for item in value]
    if isinstance(value, bool) or key in {"kind", "path", "name", "method", "status"}:
        return value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return (
            value[:-2] + ("ff" if value[-2:] != "ff" else "00")
            if value.startswith("sha256:")
            else f"{value[:-2]}{'8Z' if value[-2:] == '9Z' else '9Z'}"
        )
    return value


def _decided(told: Any) -> None:
    if told.get("phase") == "decide":
        told["summary"]["action"] = "hold"
    elif "champion" in told:
        told["action"] = "hold"


CHANGES: dict[str, Callable[[Any], None]] = {
    "cycle.decision": lambda told: _decided(told) if told.get("cycle") == "c0002" else None,
    "gen.discarded_reasons": lambda told: (
        told["summary"].update(refused={"held out": 3}) if told.get("phase") == "verify" else None
    ),
    "cycle.parent": lambda told: told.update(parent="c0001") if "fence" in told and told.get("cycle") == "c0002" else None,
}
SAME_SIGNER = {"sign.gate_key", "log.kinds"}
"""These do not stand in a predicate: the signature and the kind of an entry are its own."""


@pytest.mark.parametrize("path", sorted(set(QUERIES) - SAME_SIGNER - {"loop.demo"}))
def test_a_changed_record_changes_the_fact(turned: Path, record: LogAudit, facts: Mapping[str, Fact], path: str) -> None:
    if facts[path].value is None:
        pytest.fail(f"{path} has no value in this loop, so the test would show nothing")
    other, entries = changed(record, raw(turned), path)
    found = catalogue(other, turned, "c0002")
    if path in IN_FILES:
        with pytest.raises(IntegrityError, match="not what the record has the digest of"):
            found[path]
        return
    assert found[path].value == QUERIES[path](entries, turned)
    assert found[path].value != facts[path].value


def test_the_lineage_of_synthetic_rows_is_that_of_the_rows_themselves(turned: Path, facts: Mapping[str, Fact]) -> None:
    """Told from statements alone, and here counted in the tables: every row says which model wrote it."""
    makers = {one(raw(turned), "phase", cycle, "train")["outputs"][0]["digest"]: cycle for cycle in ("c0000", "c0001", "c0002")}
    sets = {}
    for last in ("c0000", "c0001", "c0002"):
        tables = [
            pl.read_parquet(turned / f"cycles/{cycle}/accepted/rows.parquet")
            for cycle in ("c0000", "c0001", "c0002")
            if cycle <= last
        ]
        counted = pl.concat([table.select("origin") for table in tables]).group_by("origin").len().rows()
        sets[last] = {"human" if origin == "human" else f"model {makers[origin]}": count for origin, count in counted}
    found: dict[str, dict[str, int]] = {}
    depth = {"c0000": 0}
    for cycle, market, deep, origin, rows, share in facts["gen.lineage"].value["rows"]:
        found.setdefault(cycle, {})[origin] = rows
        depth[cycle] = deep
        assert market is False
        assert share == pytest.approx(rows / sum(sets[cycle].values()))
    assert {cycle: sets[cycle] for cycle in found} == found
    assert "c0002" in found
    assert len(found) >= 2, "no model wrote rows: the test shows nothing"
    for cycle, told in found.items():
        makers_of = [depth[origin.removeprefix("model ")] for origin in told if origin != "human"]
        assert depth[cycle] == (1 + max(makers_of) if makers_of else 0)
    assert facts["gen.depth"].value == depth["c0002"] > 0


def test_weights_of_someone_else_are_told(turned: Path, record: LogAudit, facts: Mapping[str, Fact]) -> None:
    """As the training of a family that starts from a base model tells it; this loop's own starts from nothing."""
    assert facts["model.external"].value is False
    statements = [replace(said, predicate=copy.deepcopy(dict(said.predicate))) for said in record.statements]
    for said in statements:
        if said.predicate.get("phase") == "train" and said.predicate["cycle"] == "c0000":
            said.predicate["summary"]["compute"] = {"base": {"name": "somebody's", "digest": "sha256:" + "ab" * 32}}  # type: ignore[index]
    found = catalogue(replace(record, statements=statements), turned)  # type: ignore[arg-type]
    assert found["model.external"].value is True
    assert found["model.from_scratch"].value is False
    assert [row[1] for row in found["model.external_parents"].value["rows"]] == ["sha256:" + "ab" * 32]


def test_a_source_that_is_not_classified_answers_no_question_with_no(facts: Mapping[str, Fact]) -> None:
    assert facts["dataset.sources"].value["rows"] == [["a test", "CC-BY-SA-4.0", "sources/bad.jsonl", "not classified"]]
    assert [facts[f"dataset.{name}_used"].value for name in ("public", "licensed", "private", "user", "other")] == [None] * 5
    assert facts["crawl.none"].value is None
    assert facts["dataset.synthetic_used"].value is True


def test_samples_are_five_and_the_same_for_everybody(turned: Path, record: LogAudit, facts: Mapping[str, Fact]) -> None:
    again = catalogue(record, turned)
    for path in ("eval.samples", "eval.sealed_samples", "eval.generation_samples"):
        assert len(facts[path].value["rows"]) == 5
        assert facts[path].value == again[path].value
    tasks = [row[0] for row in facts["eval.samples"].value["rows"]]
    told = pl.read_parquet(turned / "cycles/c0002/evaluation/gate.parquet").filter(pl.col("task").is_in(tasks))
    assert sorted(told["status"]) == sorted(row[4] for row in facts["eval.samples"].value["rows"])
    sealed = pl.read_parquet(turned / "cycles/c0002/evaluation/sealed.parquet")
    assert "prompt" not in facts["eval.sealed_samples"].value["columns"]
    assert {row[0] for row in facts["eval.sealed_samples"].value["rows"]} <= set(sealed["task"])


@pytest.mark.parametrize(
    ("file", "path"),
    [
        ("cycles/c0002/config/decide.json", "gate.criteria"),
        ("cycles/c0002/manifests/model.json", "model.files"),
        ("cycles/c0002/decision.json", "gate.policy"),
        ("cycles/c0002/evaluation/scores.json", "eval.slices"),
        ("cycles/c0002/accepted/rows.parquet", "dataset.levels"),
    ],
)
def test_evidence_with_other_bytes_is_refused(turned: Path, tmp_path: Path, file: str, path: str) -> None:
    lab = copy_of(turned, tmp_path / "lab")
    data = (lab.root / file).read_bytes()
    (lab.root / file).unlink()  # a link to the shared workspace's
    (lab.root / file).write_bytes(data.replace(data[40:41], b"#", 1))
    with pytest.raises(IntegrityError, match=file.replace(".", r"\.")):
        catalogue(audit(lab.root / "ledger"), lab.root)[path]


def test_a_plan_that_is_not_the_cycles_is_not_used(turned: Path, tmp_path: Path) -> None:
    """It may be one that persons have not answered yet, so it is no damage; it is no evidence either."""
    lab = copy_of(turned, tmp_path / "lab")
    data = (lab.root / "plan.json").read_bytes()
    assert catalogue(audit(lab.root / "ledger"), lab.root)["loop.plan_ahead"].value is not None
    (lab.root / "plan.json").unlink()
    (lab.root / "plan.json").write_bytes(data.replace(b'"temperature":0.8', b'"temperature":0.7'))
    found = catalogue(audit(lab.root / "ledger"), lab.root)["loop.plan_ahead"]
    assert (found.value, found.absent) == (None, ("plan.json",))


def test_evidence_that_is_not_here_is_named_and_gives_no_value(turned: Path, tmp_path: Path) -> None:
    lab = copy_of(turned, tmp_path / "lab")
    shutil.rmtree(lab.root / "cycles/c0002/evaluation")
    found = catalogue(audit(lab.root / "ledger"), lab.root)
    assert found["eval.slices"].value is None
    assert found["eval.slices"].absent == ("cycles/c0002/evaluation/scores.json",)
    assert found["eval.gate"].value is not None


def test_a_cycle_that_the_record_does_not_have(turned: Path, record: LogAudit) -> None:
    with pytest.raises(UsageError, match="c0099"):
        catalogue(record, turned, "c0099")["model.id"]
