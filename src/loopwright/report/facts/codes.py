"""Changes of code and of the training recipe: who wrote them, who looked at them, and with what they ran."""

from __future__ import annotations

from typing import Any

from loopwright.report.facts.binding import fact, table
from loopwright.report.facts.reading import Reader
from loopwright.types import PHASES


@fact("code.recipes")
def _recipes(see: Reader) -> Any:
    """Recipe changes that a cycle trained with; the approval is the entry that let each in."""
    rows = []
    for record in see.cycles():
        told = record.recipe
        if told:
            see.digests.add(told["digest"])
            entry = told.get("approval")
            key = see.signer(entry) if isinstance(entry, int) else None
            author = _author(see, told["digest"])
            rows.append([record.cycle, told["path"], told["digest"], author, key, record.action])
    return table("cycle path digest author approver decision", rows)


def _author(see: Reader, digest: str) -> str | None:
    """Kind and key of who asked for the change; None where no request names it."""
    for asked in see.requests():
        if any(item.digest == digest for item in asked.subjects):
            see.leaf(asked.index)
            holding = see.state.roster.holdings.get(asked.key)
            return f"{holding.principal.kind} {asked.key}" if holding else asked.key
    return None


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
            asked = [one.executed for one in see.requests() if one.action == "judge" and one.executed is not None]
            done = [entry for entry in asked if entry < record.index]
            see.leaf(*done)
            rows.append([record.cycle, before, now, done[-1] if done else None])
        before = now
    return table("cycle before after executed", rows)


@fact("env.code")
def _code(see: Reader) -> Any:
    return see.fact("cycle.pins")
