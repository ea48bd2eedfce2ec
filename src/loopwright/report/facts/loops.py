"""The loop as a whole: its history, its steps, who checks whom, and how fast it tightens."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from loopwright.ledger.independence import who_checks as independence
from loopwright.ledger.overview import cycle_row, tightening
from loopwright.ledger.taint import promoted as ever_promoted
from loopwright.report.facts.binding import alias, fact, table
from loopwright.report.facts.changes import changed, rows_of, scores_of
from loopwright.report.facts.codes import coding_models
from loopwright.report.facts.cycles import flat
from loopwright.report.facts.lineage import judges_of, written_by
from loopwright.report.facts.reading import Absent, Reader
from loopwright.types import PHASES


@fact("loop.name")
def _its_name(see: Reader) -> str:
    see.leaf(0)
    return see.state.name


@fact("loop.workspace")
def _workspace(see: Reader) -> str:
    see.leaf(0)
    return see.state.workspace


@fact("loop.demo")
def _demo(see: Reader) -> bool:
    see.leaf(0)
    return see.state.demo


@fact("loop.created_at")
def _created_at(see: Reader) -> str:
    see.leaf(0)
    return str(see.state.genesis["created_at"])


@fact("loop.cycles", "counted")
def _cycles(see: Reader) -> int:
    return len(list(see.cycles()))


@fact("loop.closed", "counted")
def _closed(see: Reader) -> int:
    return sum(record.closed_at is not None for record in see.cycles())


@fact("loop.champion")
def _champion(see: Reader) -> str | None:
    see.entries("close", "rollback")
    return see.state.champion


@fact("loop.promoted")
def _promoted(see: Reader) -> list[str]:
    champions = set(ever_promoted(see.state))
    see.entries("close")
    return [record.cycle for record in see.cycles() if record.cycle in champions]


@fact("loop.history")
def _history(see: Reader) -> Any:
    rows = []
    for record in see.cycles():
        scores = scores_of(see, record)
        told = [record.cycle, record.parent, record.opened_at, record.action, scores.get("gate"), scores.get("sealed")]
        rows.append([*told, rows_of(see, record), cycle_row(record)["wall_seconds"]])
    return table("cycle parent opened_at decision gate sealed rows seconds", rows)


@fact("loop.version_graph", "derived")
def _version_graph(see: Reader) -> Any:
    champions, rows = set(ever_promoted(see.state)), []
    for record in see.cycles():
        made = record.artifact("model")
        told = [record.cycle, record.prev, record.parent, made.digest if made else None, ", ".join(changed(see, record))]
        rows.append([*told, record.action, record.cycle in champions])
    return table("cycle prev parent model changed decision promoted", rows)


alias("system.versions", "loop.version_graph", "derived")

_ACTS = ("request", "approval", "execute", "halt", "freeze", "recall", "rollback", "enrol", "rotate", "revoke", "gc")


@fact("loop.changelog", "derived")
def _changelog(see: Reader) -> Any:
    """Cycles and, between them, what persons did, in the order of the log."""
    rows: list[list[Any]] = []
    for record in see.cycles():
        what = ", ".join(changed(see, record))
        rows.append([record.index, record.opened_at, record.cycle, what, record.action, see.signer(record.index)])
    for said in see.entries(*_ACTS):
        told = said.predicate
        time = next(
            (value for key, value in told.items() if key.endswith("_at") and key not in {"expires_at", "opened_at"}), None
        )
        what = str(told.get("action") or told.get("answer") or told.get("reason") or told.get("cycle") or "")
        rows.append([said.index, time, said.kind, what, None, said.keyid])
    return table("leaf time event what decision signer", sorted(rows, key=lambda row: row[0]))


@fact("loop.steps")
def _steps(see: Reader) -> Any:
    """What each phase of the cycle read and made, as its statement names it."""
    rows = []
    for phase in PHASES:
        if phase in see.cycle.phases:
            done = see.phase(phase)
            reads = ", ".join(item["name"] for item in done.inputs)
            rows.append([phase, reads, ", ".join(item.kind for item in done.artifacts), done.seconds])
    return table("phase reads makes seconds", rows)


alias("system.components", "loop.steps")


@fact("system.models_as_tools")
def _models_as_tools(see: Reader) -> Any:
    """Models that did something in the cycle besides being trained or tested."""
    written = written_by(see.phase("generate")) if "generate" in see.cycle.phases else None
    rows = [["generate", "generates data", written]] if written else []
    rows += [["verify", "judges", digest] for digest in judges_of(see)]
    rows += [["train", "writes code", model] for model in coding_models(see, see.cycle)]
    elsewhere = [see.summary("generate").get("external"), see.summary("verify").get("judge")]
    names = {one["digest"]: one["model"] for one in elsewhere if one}
    names |= {digest: f"{see.state.name} {maker}" for digest, maker in see.source.models.items()}
    return table(
        "phase use name model cycle",
        [[phase, use, names.get(one), one, see.source.models.get(one)] for phase, use, one in rows],
    )


@fact("loop.who_checks", "derived")
def _who_checks(see: Reader) -> Any:
    for phase in see.cycle.phases:
        see.phase(phase)
    see.leaf(0)
    rows = independence(see.state, see.cycle)
    return table("phase made maker model checker verdict", rows)


def _tightening(see: Reader) -> Mapping[str, Any]:
    return tightening([cycle_row(record) for record in see.cycles()])


for _name in ("cycle_seconds", "gain_per_hour"):
    fact(f"loop.{_name}", "derived")(lambda see, key=_name: _tightening(see)[key])  # type: ignore[misc]


def _trend(see: Reader, key: str) -> Any:
    found = _tightening(see)[key]
    if found is None:
        raise Absent(key)
    return {**found, "method": "least squares, t 95%"}


for _name in ("cycle_seconds_trend", "gain_per_hour_trend"):
    fact(f"loop.{_name}", "fitted")(lambda see, key=_name: _trend(see, key))  # type: ignore[misc]


@fact("loop.cadence", "derived")
def _cadence(see: Reader) -> float:
    found = see.fact("loop.cycle_seconds")
    if not found:
        raise Absent("cycles")
    return float(statistics.median(found))


def plan(see: Reader) -> Mapping[str, Any]:
    """The part of the plan in force that its digest is over, where `plan.json` of this copy is the one that the cycle's first entry names.

    A later cycle, or a plan that persons have not answered yet, may have left another one there: then the record has this one's
    digest alone, and its bytes are in git's past.
    """
    from loopwright.plan import Plan

    try:
        found = Plan.model_validate_json((see.source.root / "plan.json").read_bytes())
    except (FileNotFoundError, ValueError) as error:
        see.absent.add("plan.json")
        raise Absent("plan.json") from error
    if found.digest != see.cycle.plan:
        see.absent.add("plan.json")
        raise Absent("plan.json")
    see.digests.add(found.digest)
    return found.model_dump(mode="json")


@fact("loop.plan_ahead")
def _plan_ahead(see: Reader) -> Any:
    """What the next cycles would do: the settings that generate, mix, train and evaluate, all of which the plan's digest covers."""
    told = plan(see)
    parts = ("generator", "mix", "trainer", "evaluator", "model", "domain", "sources")
    rows = [[key, value] for part in parts for key, value in flat(told[part], part)]
    return table("setting value", rows)


@fact("loop.budgets")
def _budgets(see: Reader) -> Any:
    return table("limit value", sorted(see.opened().get("budgets", {}).items()))


alias("policy.budgets", "loop.budgets")


@fact("loop.triggers", "derived")
def _triggers(see: Reader) -> Any:
    """Evaluation is a phase of every cycle; the lamps with a stop and the budgets are the rules beyond that."""
    rows: list[list[Any]] = [["every cycle", "evaluate, examine", None]]
    rows += [[row[0], "halts", row[3]] for row in see.fact("risk.thresholds")["rows"] if row[3] is not None]
    rows += [[row[0], "halts", row[1]] for row in see.fact("loop.budgets")["rows"]]
    return table("trigger effect threshold", rows)


@fact("loop.automatic_promotions", "counted")
def _automatic_promotions(see: Reader) -> float:
    rows = [row for row in see.fact("sign.promotions")["rows"] if row[0] != "c0000"]
    if not rows:
        raise Absent("promotions")
    return sum(not row[2] for row in rows) / len(rows)
