"""From the signed entries of one cycle to plain values: what a document may say, and nothing else.

Each entry becomes ``{"leaf", "keyid", "values"}`` under its name (``genesis``, ``open``, the phases, ``close``), so that
whatever is shown can name the leaf it was read from. The last finished attempt of a phase counts, as in the fold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loopwright.errors import UsageError
from loopwright.ledger.fold import PhaseRecord, fold
from loopwright.ledger.statement import Statement
from loopwright.ledger.taint import taint
from loopwright.types import PHASES

__all__ = ["cycle_facts", "evidence_rows", "phase_rows", "score_rows"]


def cycle_facts(statements: Sequence[Statement], cycle: str) -> dict[str, Any]:
    """The facts of one cycle, from the log's beginning up to a checkpoint.

    Raises:
        UsageError: the record, so far, has no such cycle.
    """
    state = fold(statements)
    if cycle not in state.cycles:
        known = ", ".join(state.cycles) or "none"
        raise UsageError(f"the record has no cycle {cycle!r} under its last checkpoint", f"one of: {known}")
    record = state.cycles[cycle]
    facts = {phase: _phase(done, statements[done.index].keyid) for phase, done in record.phases.items()}
    opened = statements[record.index]
    closed = next((one for one in statements if one.kind == "close" and one.predicate["cycle"] == cycle), opened)
    facts["genesis"] = _entry(0, statements[0].keyid, dict(state.genesis))
    facts["open"] = _entry(opened.index, opened.keyid, _told(opened, cycle))
    if record.closed_at is not None:
        ended = {"champion": record.champion_after, "closed_at": record.closed_at}
        facts["close"] = _entry(closed.index, closed.keyid, ended)
    if lamps := facts.get("decide", {}).get("values", {}).get("lights"):
        facts["lamps"] = {**facts["decide"], "values": _by_state(lamps)}
    facts["summary"] = _entry(
        None,
        None,
        {
            "demo": state.demo,
            "name": state.name,
            "workspace": state.workspace,
            "cycle": cycle,
            "cycles": len(state.cycles),
            "finished": record.closed_at is not None,
            "failures": len(record.failures),
            "unsafe": _unsafe(facts),
            "recalled": [item.path for item in taint(state).within(record)],
        },
    )
    return facts


def _by_state(lamps: Mapping[str, str]) -> dict[str, list[str]]:
    """Names of the figures by what their lamp says; a word that a later version may bring has a list of its own."""
    states = ("stop", "warn", "fine", *lamps.values())
    return {state: sorted(name.replace("_", " ") for name, said in lamps.items() if said == state) for state in states}


def _unsafe(facts: Mapping[str, Any]) -> list[str]:
    """What the plan switched off, in the plan's own words: no report may be silent about it."""
    seed, verify, decide = (facts.get(phase, {}).get("values", {}) for phase in ("seed", "verify", "decide"))
    said = {
        "unsafe_unverified": verify.get("accept") == "unsafe_unverified",
        "unsafe_no_hidden_tests": bool(verify.get("unsafe_no_hidden_tests") or seed.get("unsafe_no_hidden_tests")),
        "unsafe_only_say": bool(decide.get("unsafe_only_say")),
    }
    return [name for name, on in said.items() if on]


_DONE = ("phase", "key", "attempt", "environment", "started_at", "finished_at", "seconds")


def _told(opened: Statement, cycle: str) -> Mapping[str, Any]:
    """What the entry that opened a cycle says of it: its own ``open``, or its part of the ``import`` that brought it in."""
    if opened.kind == "open":
        return opened.predicate
    return next(told for told in opened.predicate["cycles"] if told["cycle"] == cycle)


def _entry(leaf: int | None, keyid: str | None, values: Mapping[str, Any]) -> dict[str, Any]:
    return {"leaf": leaf, "keyid": keyid, "values": values}


def _phase(record: PhaseRecord, keyid: str) -> dict[str, Any]:
    """A phase's entry: its summary's values beside its own, inputs and outputs as digests by name."""
    inputs = {item["name"]: item["digest"] for item in record.inputs}
    outputs = {artifact.kind: artifact.digest for artifact in record.artifacts}
    own = {name: getattr(record, name) for name in _DONE}
    return _entry(record.index, keyid, {**record.summary, **own, "inputs": inputs, "outputs": outputs})


def score_rows(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The suites' scores side by side: headline, all, then each level. Empty where the cycle was not evaluated."""
    values = facts.get("evaluate", {}).get("values", {})
    suites = {"gate": values.get("gate", {}), "sealed": values.get("sealed", {}), "pass_at": values.get("pass_at") or {}}
    levels = sorted({level for suite in suites.values() for level in suite.get("levels", {})}, key=int)
    rows = [{"row": key, **{name: suite.get(key) for name, suite in suites.items()}} for key in ("headline", "all")]
    rows += [
        {"row": f"level {level}", **{name: suite.get("levels", {}).get(level) for name, suite in suites.items()}}
        for level in levels
    ]
    return rows if levels else []


def evidence_rows(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every output of every finished phase: what, its digest, the entry that vouches for it."""
    return [
        {"phase": phase, "name": name, "digest": digest, "leaf": facts[phase]["leaf"], "keyid": facts[phase]["keyid"]}
        for phase in PHASES
        if phase in facts
        for name, digest in facts[phase]["values"]["outputs"].items()
    ]


def phase_rows(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each finished phase: when, how long, which attempt, where."""
    return [
        {"phase": phase, "leaf": facts[phase]["leaf"], **{key: facts[phase]["values"][key] for key in _SHOWN}}
        for phase in PHASES
        if phase in facts
    ]


_SHOWN = ("seconds", "attempt", "started_at", "finished_at")
