"""Changes of code and of the training recipe: who wrote them, who looked at them, and with what they ran."""

from __future__ import annotations

from typing import Any

from loopwright.ledger.acts import Request
from loopwright.ledger.fold import CycleRecord
from loopwright.report.facts.binding import fact, table
from loopwright.report.facts.reading import Reader
from loopwright.types import PHASES


def coding_models(see: Reader, cycle: CycleRecord) -> list[str]:
    """The model of the agent who asked for the recipe that a cycle trained with; none where a person did, or there is no recipe."""
    asked = _request(see, cycle.recipe["digest"]) if cycle.recipe else None
    holding = see.state.roster.holdings.get(asked.key) if asked else None
    return [holding.principal.model] if holding and holding.principal.model else []


@fact("code.recipes")
def _recipes(see: Reader) -> Any:
    """Recipe changes that a cycle trained with; the approval is the entry that let each in."""
    rows = []
    for record in see.cycles():
        told = record.recipe
        if told:
            see.digests.add(told["digest"])
            author, approvers = _author(see, told["digest"]), _approvers(see, told.get("approval"))
            rows.append([record.cycle, told["path"], told["digest"], author, approvers, record.action])
    return table("cycle path digest author approver decision", rows)


def _request(see: Reader, digest: str) -> Request | None:
    """The first request that names these bytes."""
    asked = next((one for one in see.requests() if any(item.digest == digest for item in one.subjects)), None)
    see.leaf(*([asked.index] if asked else []))
    return asked


def _author(see: Reader, digest: str) -> str | None:
    """Kind and key of who asked for the change; None where no request names it."""
    asked = _request(see, digest)
    holding = see.state.roster.holdings.get(asked.key) if asked else None
    return f"{holding.principal.kind} {asked.key}" if asked and holding else asked.key if asked else None


def _approvers(see: Reader, entry: int | None) -> str | None:
    """Keys of the persons who let a change in: the entry carries out their approvals, or is (before there were requests) one itself."""
    if entry is None:
        return None
    said = see.source.statements[entry]
    given = said.predicate["approvals"] if said.kind == "execute" else [entry]
    see.leaf(entry, *given)
    return ", ".join(see.signer(one) for one in given)


@fact("code.count", "counted")
def _count(see: Reader) -> int:
    return len(see.fact("code.recipes")["rows"])


@fact("code.by_models", "counted")
def _by_models(see: Reader) -> int:
    return sum(str(row[3]).startswith("agent") for row in see.fact("code.recipes")["rows"])


@fact("code.none", "counted")
def _none(see: Reader) -> bool:
    return not see.fact("code.count")


@fact("code.packages")
def _packages(see: Reader) -> Any:
    rows = []
    for phase in PHASES:
        if phase in see.cycle.phases:
            told = see.phase(phase).environment.get("packages", {})
            see.digests.update(told.values())
            rows += [[phase, package, digest] for package, digest in sorted(told.items())]
    return table("phase package digest", rows)


_ABOUT = ("recipe", "judge", "policy", "envelope", "admission")


@fact("code.reviews")
def _reviews(see: Reader) -> Any:
    rows = []
    for asked in see.requests():
        if asked.action in _ABOUT:
            see.leaf(asked.index, *(one.index for one in asked.answers))
            said = ", ".join(f"{'approve' if one.approves else 'veto'} {one.key}" for one in asked.answers)
            rows.append([asked.index, asked.action, asked.key, said, asked.executed])
    return table("leaf action proposer answers executed", rows)


@fact("code.judge_changes", "derived")
def _judge_changes(see: Reader) -> Any:
    rows, before = [], None
    for record in see.cycles():
        now = record.pins.get("judge")
        if before is not None and now != before:
            agreed = [one.executed for one in see.requests() if one.action == "judge" and _names(one, now)]
            done = [entry for entry in agreed if entry is not None and entry < record.index][-1:]
            see.leaf(*done)
            rows.append([record.cycle, before, now, *(done or [None])])
        before = now
    return table("cycle before after executed", rows)


def _names(asked: Request, digest: str | None) -> bool:
    """Is it about these bytes? What persons agreed to for another judge lets no other one in."""
    return any(item.digest == digest for item in asked.subjects)


@fact("env.code")
def _code(see: Reader) -> Any:
    return see.fact("cycle.pins")
