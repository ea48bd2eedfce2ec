"""Who is checking the builder: what must be apart in the record, and where it is not.

A judge that shares a key with what it judges, or that is a model with the generator among its ancestors (or the reverse), says
nothing that the generator could not have said. Such a cycle is refused when it opens; the table is a fold over the record.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from loopwright.ledger.fold import CycleRecord, LoopState
from loopwright.ledger.principals import Principal
from loopwright.types import Digest

__all__ = ["CHECKERS", "Link", "lineage", "makers_of", "objections", "who_checks"]

CHECKERS: Mapping[str, str | None] = {
    "generate": "verify",
    "verify": "examine",
    "train": "evaluate",
    "evaluate": None,
    "examine": None,
    "decide": None,
}
"""Phase -> the phase that checks what it made; None where the record knows of no check by another."""

_ROLES = {
    "generate": "generator",
    "verify": "verifier",
    "train": "trainer",
    "evaluate": "evaluator",
    "examine": "evaluator",
    "decide": "gate",
}
_BUILDERS, _JUDGES = ("generator", "trainer"), ("verifier", "evaluator", "gate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One thing that a phase made, and who checked it."""

    phase: str
    made: str
    """Digest of its first output."""
    maker: str
    """Role and key id."""
    model: Digest | None
    """The model that made it, where one did."""
    checker: str | None
    shared_keys: tuple[str, ...]
    shared_ancestors: tuple[Digest, ...]
    """Models that stand in the lineage of both maker and judge."""
    verdict: str
    """``independent``, ``shared`` or ``not checked``."""


def lineage(state: LoopState, model: Digest) -> frozenset[Digest]:
    """A model and all models it comes from: by weights (its parent), and by data (the generators of the rows it could learn from).

    Rows accumulate in the archive whether or not a challenger is promoted, so every generator up to its cycle counts.
    """
    made = {artifact.digest: name for name, record in state.cycles.items() if (artifact := record.artifact("model"))}
    found, waiting = set[Digest](), [model]
    while waiting:
        digest = waiting.pop()
        if digest in found:
            continue
        found.add(digest)
        if digest in made:
            waiting += makers_of(state, made[digest])
    return frozenset(found)


def makers_of(state: LoopState, cycle: str) -> Iterator[Digest]:
    """Models that a cycle's training could learn from: those that generated in it or before it, along ``prev``, and its parent."""
    name: str | None = cycle
    while name is not None and name in state.cycles:
        record = state.cycles[name]
        yield from _external(record)
        parent = state.cycles.get(record.parent or "")
        if parent is not None and (model := parent.artifact("model")):
            yield model.digest
        name = record.prev


def _external(record: CycleRecord) -> tuple[Digest, ...]:
    """The model elsewhere that generated in this cycle, by its identity and by its family."""
    said = record.phases["generate"].summary.get("external") if "generate" in record.phases else None
    return (said["digest"], said["family"]) if said else ()


def objections(
    state: LoopState, champion: Digest | None, judges: Collection[Digest], generators: Collection[Digest] = ()
) -> list[str]:
    """Why judge and builder of the next cycle are not independent, in words; empty where they are.

    Args:
        state: The record so far.
        champion: The model that will generate; None before the first.
        judges: Models that judge; none where code is run and nothing else.
        generators: Models that will generate besides the champion or in its place: those elsewhere, by identity and family.
    """
    keys = {one.principal.role: one.principal.public_key for one in state.roster.holdings.values() if one.revoked is None}
    said = [
        f"{builder} and {judge} hold the same key"
        for builder in _BUILDERS
        for judge in _JUDGES
        if builder in keys and keys.get(judge) == keys[builder]
    ]
    for judge in sorted(judges):
        shared = lineage(state, judge) & ((lineage(state, champion) if champion else frozenset()) | frozenset(generators))
        if shared:
            said.append(
                f"the judge model {judge[:19]}… and the generator share {len(shared)} ancestors, first {min(shared)[:19]}…"
            )
    return said


def who_checks(state: LoopState, record: CycleRecord) -> list[dict[str, Any]]:
    """The table of one cycle: phase, who made it, with which model, who checked it, what the two share, verdict."""
    verified = record.phases.get("verify")
    judges = tuple(verified.summary.get("judge_models", ())) if verified else ()
    parent = state.cycles.get(record.parent or "")
    model = artifact.digest if parent and (artifact := parent.artifact("model")) else None
    return [asdict(_link(state, record, phase, model, judges)) for phase in CHECKERS if phase in record.phases]


def _signer(state: LoopState, record: CycleRecord, phase: str) -> Principal:
    """Who held the role when this phase was recorded: its key may have been rotated before or since."""
    role, index = _ROLES[phase], record.phases[phase].index
    held = (one for one in state.roster.holdings.values() if one.principal.role == role and one.since <= index)
    return next(one.principal for one in held if one.revoked is None or index < one.revoked)


def _link(
    state: LoopState,
    record: CycleRecord,
    phase: str,
    model: Digest | None,
    judges: Collection[Digest],
) -> Link:
    made_with = model if phase in {"generate", "train"} else None
    elsewhere = _external(record) if phase == "generate" else ()
    made_with = elsewhere[0] if elsewhere else made_with
    by = CHECKERS[phase]
    checked = by is not None and by in record.phases
    maker, checker = _signer(state, record, phase), _signer(state, record, by) if by and checked else None
    same = checker is not None and checker.public_key == maker.public_key
    ancestors = _shared(state, made_with, judges, elsewhere) if checked else ()
    return Link(
        phase=phase,
        made=record.phases[phase].artifacts[0].digest,
        maker=_named(maker),
        model=made_with,
        checker=_named(checker) if checker else None,
        shared_keys=(maker.id,) if same else (),
        shared_ancestors=ancestors,
        verdict="not checked" if not checked else "shared" if same or ancestors else "independent",
    )


def _shared(
    state: LoopState, model: Digest | None, judges: Collection[Digest], elsewhere: Collection[Digest]
) -> tuple[Digest, ...]:
    if model is None:
        return ()
    made = lineage(state, model) | frozenset(elsewhere)
    return tuple(sorted({digest for judge in judges for digest in lineage(state, judge) & made}))


def _named(principal: Principal) -> str:
    return f"{principal.role} {principal.id} ({principal.kind})"
