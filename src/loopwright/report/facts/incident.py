"""The incident that a document is about: what persons told of it, what the log shows since then, and the clocks that run for it.

Times are those of entries and of persons; what is left of a clock is counted to the date of the document, never to a clock's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from loopwright.errors import UsageError
from loopwright.ledger.incidents import Incident, incidents
from loopwright.ledger.statement import Statement
from loopwright.report.clocks import Due, due_dates, incident_row, read_clocks
from loopwright.report.facts.acts import champion_before
from loopwright.report.facts.binding import alias, fact, table
from loopwright.report.facts.reading import Absent, Reader
from loopwright.report.law import Law, Span, law_of

_ROUTINE = frozenset(("genesis", "phase", "anchor", "answer", "import", "signature"))
"""Kinds that tell no event of an incident; what a phase of the involved cycle made stands among the evidence."""
_CYCLE = {"open": "cycle opened", "close": "cycle closed"}
_SPANS = ("hours", "days", "business_days", "weeks", "months", "years")


def law(see: Reader) -> Law:
    """The workspace's rows of the law, read once for all facts."""
    kept = see.source.kept
    if "law" not in kept:
        kept["law"] = law_of(see.source.root)
    return kept["law"]


def _all(see: Reader) -> Mapping[str, Incident]:
    return incidents(see.entries("incident"))


def _one(see: Reader) -> Incident:
    """The one that is asked for, else the newest; Absent where there is none."""
    found = incidents(see.source.kinds.get("incident", ()))
    asked = see.source.incident
    if asked is not None and asked not in found:
        raise UsageError(
            f"the record has no incident {asked!r} under its last checkpoint", f"one of: {', '.join(found) or 'none'}"
        )
    if not found:
        raise Absent("incident")
    one = found[asked or list(found)[-1]]
    see.leaf(*one.leaves)
    return one


def _told(word: str, path: str) -> None:
    @fact(path)
    def _(see: Reader) -> Any:
        facts = _one(see).facts
        if facts.get(word) is None:
            raise Absent(word)
        return facts[word]


for _word in (
    *("kind", "started_at", "ended_at", "aware_at", "deployer_aware_at", "causal_link_at", "resolved_at"),
    *("near_miss", "internal_use", "imminent_danger", "member_states"),
):
    _told(_word, f"incident.{_word}")
_told("harm", "incident.harm_class")


@fact("incident.id")
def _id(see: Reader) -> str:
    return _one(see).id


@fact("incident.closed_at")
def _closed_at(see: Reader) -> str:
    one = _one(see)
    if one.closed_at is None:
        raise Absent("closed_at")
    return one.closed_at


@fact("incident.all")
def _list(see: Reader) -> Any:
    rows = [
        [
            *(one.id, one.kind, one.facts.get("harm"), one.facts.get("near_miss", False)),
            *(one.facts["aware_at"], one.closed_at, one.leaves[0]),
        ]
        for one in _all(see).values()
    ]
    return table("incident kind harm near_miss aware_at closed_at leaf", rows)


@fact("incident.number", method="counted")
def _number(see: Reader) -> int:
    return len(_one(see).reports) + 1


@fact("incident.report_type", method="derived")
def _report_type(see: Reader) -> str:
    one = _one(see)
    if not one.reports:
        return "initial"
    return "final" if one.facts.get("resolved_at") else "intermediate"


def _due(see: Reader) -> tuple[Incident, list[Due]]:
    one = _one(see)
    return one, due_dates(one, read_clocks(law(see)))


def _clock_facts(under: str | None, suffix: str) -> None:
    """Clocks and the next due time of one regime; None: of the European Union."""

    @fact(f"incident.clocks{suffix}", method="derived")
    def _(see: Reader) -> Any:
        one, due = _due(see)
        rows = incident_row(one, [clock for clock in due if clock.clock.under == under], see.fact("log.as_of"))["clocks"]
        if not rows:
            raise Absent("clocks")  # a near miss has none
        told = [{**row, "days_left": None if row["left_s"] is None else row["left_s"] // 86_400} for row in rows]
        return table("report ref harm due_at state days_left", told)

    @fact(f"incident.due_at{suffix}", method="derived")
    def _(see: Reader) -> str:
        running = [one.due_at for one in _due(see)[1] if one.clock.under == under and one.state == "running" and one.due_at]
        if not running:
            raise Absent("due_at")
        return min(running)


for _under, _suffix in ((None, ""), ("california", "_california"), ("new-york", "_new_york")):
    _clock_facts(_under, _suffix)
alias("incident.due", "incident.clocks", method="derived")


@fact("incident.reports")
def _reports(see: Reader) -> Any:
    return table("report under sent_at recipient receipt leaf", [{**one, "report": one["form"]} for one in _one(see).reports])


@fact("incident.complete", method="derived")
def _complete(see: Reader) -> bool:
    facts = _one(see).facts
    return all(facts.get(word) is not None for word in ("started_at", "aware_at", "causal_link_at", "harm", "model"))


def _when(statement: Statement) -> str:
    """The time that an entry tells of itself; empty where it tells none."""
    told = (value for name, value in statement.predicate.items() if name.endswith("_at") and name != "expires_at")
    return max((value for value in told if isinstance(value, str)), default="")


def _since(see: Reader, one: Incident) -> Iterator[Statement]:
    """Entries from the incident's beginning (as told, else its first entry) to its end, but for routine."""
    begin = one.facts.get("started_at") or one.told[0][1]
    for statement in see.source.statements:
        at = _when(statement)
        if statement.kind in _ROUTINE:
            continue
        if statement.index in one.leaves or (at >= begin and (one.closed_at is None or at <= one.closed_at)):
            yield statement


@fact("incident.timeline")
def _timeline(see: Reader) -> Any:
    rows = []
    for statement in _since(see, _one(see)):
        see.leaf(statement.index)
        said = statement.predicate
        what = next((said[word] for word in ("action", "act", "answer", "reason") if isinstance(said.get(word), str)), None)
        kind = _CYCLE.get(statement.kind, statement.kind)
        rows.append([statement.index, _when(statement) or None, kind, said.get("cycle"), what, statement.keyid])
    return table("leaf time kind cycle what signer", rows)


def _involved(see: Reader, one: Incident) -> str | None:
    """The cycle of the model that is named; without one, of the champion when it was opened."""
    if one.facts.get("model"):
        return see.source.models.get(one.facts["model"])
    return champion_before(see, one.leaves[0])


@fact("incident.model")
def _model(see: Reader) -> Any:
    one = _one(see)
    cycle = see.record(_involved(see, one))
    made = see.artifact("model", cycle)
    return table(
        "cycle digest named leaf", [[cycle.cycle, made.digest, bool(one.facts.get("model")), cycle.phases["train"].index]]
    )


@fact("incident.evidence")
def _evidence(see: Reader) -> Any:
    cycle = see.record(_involved(see, _one(see)))
    rows = []
    for name, done in cycle.phases.items():
        see.leaf(done.index)
        see.digests.update(artifact.digest for artifact in done.artifacts)
        rows += [[cycle.cycle, name, artifact.kind, artifact.digest, done.index] for artifact in done.artifacts]
    return table("cycle phase kind digest leaf", rows)


@fact("incident.actions")
def _actions(see: Reader) -> Any:
    first = _one(see).leaves[0]
    found = [one for one in see.entries("halt", "freeze", "recall", "rollback") if one.index > first]
    return table(
        "leaf time kind reason signer",
        [[one.index, _when(one), one.kind, one.predicate.get("reason"), one.keyid] for one in found],
    )


@fact("incident.near_misses")
def _near_misses(see: Reader) -> Any:
    rows: list[list[Any]] = [
        [one.leaves[0], one.facts["aware_at"], "near miss", one.id] for one in _all(see).values() if one.facts.get("near_miss")
    ]
    for name, record in see.state.cycles.items():
        done = record.phases.get("decide")
        if done is not None and done.summary.get("action") == "halt":
            see.leaf(done.index)
            rows.append([done.index, done.finished_at, "halted by the gate", name])
    return table("leaf time what about", sorted(rows))


def _freezes(see: Reader) -> list[tuple[Statement, int | None]]:
    """Each freeze that was in force at some time since the incident was opened, with the entry that lifted it."""
    first = _one(see).leaves[0]
    lifted = [asked.executed for asked in see.state.acts.requests.values() if asked.action == "unfreeze" and asked.executed]
    ends = [(said, min((index for index in lifted if index > said.index), default=None)) for said in see.entries("freeze")]
    found = [(said, end) for said, end in ends if end is None or end > first]
    see.leaf(*(end for _, end in found if end is not None))
    return found


@fact("incident.frozen")
def _frozen(see: Reader) -> bool:
    return any(ended is None for _, ended in _freezes(see))


@fact("incident.freeze")
def _freeze(see: Reader) -> Any:
    rows = []
    for said, end in _freezes(see):
        before = [record for record in see.state.cycles.values() if record.index < said.index]
        champion = see.state.cycles.get(champion_before(see, said.index) or "")
        kept = [champion.artifact(kind) if champion else None for kind in ("model", "archive")]
        see.digests.update(one.digest for one in kept if one)
        lock = see.opened(before[-1]).get("lock") if before else None
        rows.append([said.index, _when(said), said.keyid, end, *(one.digest if one else None for one in kept), lock])
    return table("leaf time signer ended model archive lock", rows)


def _rules(path: str, kind: str | None) -> None:
    @fact(path, method="law")
    def _(see: Reader) -> Any:
        rows = [one for one in read_clocks(law(see)) if kind in {None, one.incident} and not one.under]
        told = [[one.report, one.ref, list(one.harm), *span_of(one), one.start] for one in rows]
        return table("report ref harm length length_unit from", told)


def span_of(span: Span) -> list[Any]:
    """A length as a number and its unit, the two columns ``length`` and ``length_unit``."""
    return next(([getattr(span, name), name] for name in _SPANS if getattr(span, name)), [0, "days"])


_rules("incident.clock_rules", None)
_rules("incident.clock_rules_gpai", "gpai")
_rules("incident.clock_rules_art73", "art73")


@fact("incident.none", method="counted")
def _none(see: Reader) -> bool:
    return not _all(see)


def _no(kind: str) -> None:
    @fact(f"incident.no_{kind}")
    def _(see: Reader) -> bool:
        return not _all(see) or _one(see).kind != kind


_no("gpai")
_no("art73")
