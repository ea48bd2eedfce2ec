"""What a recall reaches: everything that was made from what was recalled, as a fold over the record.

A ``recall`` statement names where the taint enters (``tainted``: digests of artifacts, of code, of a plan, of a lock). What
was made from it follows from the record, whether it was made before the recall or after, so that nobody has to keep a list.

The seed phase writes a shard and the first archive, which holds it, at once: a bad shard makes that archive bad as well.

Two inputs carry accounts and no data, and so no taint: a decision's ``decision`` (how much of the gate's error rate is
spent, which stays spent) and a card's ``card`` (the first model's own figures). `CARRIED` names them; what they lead to is
listed apart by `loopwright.trace`, and isn't refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from loopwright.errors import RefusedError
from loopwright.ledger.fold import CycleRecord, LoopState, PhaseRecord
from loopwright.types import Artifact, Digest

__all__ = ["CARRIED", "Taint", "pins_of", "promoted", "refuse", "refuse_any", "spread", "starts", "taint"]

CARRIED: frozenset[tuple[str, str]] = frozenset({("decide", "decision"), ("examine", "card")})
"""(phase, name of the input) of accounts that are carried from cycle to cycle."""

_STANDS_ON: Mapping[str, frozenset[str]] = {
    "generator": frozenset({"seed", "generate", "train"}),
    "judge": frozenset({"seed", "verify", "merge", "evaluate", "examine", "decide"}),
}
"""Phases that a code digest of the ``open`` entry is about; the others (flows, lock) are about all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taint:
    """What may not be used any more."""

    roots: frozenset[Digest]
    """Where it enters."""
    reached: frozenset[tuple[str, Digest]]
    """(path, digest) of every output that was made from a root, and of those that are one."""

    def holds(self, artifact: Artifact | None) -> bool:
        """True where the artifact is tainted."""
        return artifact is not None and (artifact.digest in self.roots or (artifact.path, artifact.digest) in self.reached)

    def within(self, record: CycleRecord) -> tuple[Artifact, ...]:
        """The tainted outputs of a cycle."""
        return tuple(item for done in record.phases.values() for item in done.artifacts if self.holds(item))


def taint(state: LoopState) -> Taint:
    """What all recalls of the record reach together."""
    return spread(state, {digest for recall in state.acts.recalls for digest in recall.predicate["tainted"]})


def spread(state: LoopState, roots: Collection[Digest]) -> Taint:
    """What these digests reach: one pass, since a log tells of nothing before it is made."""
    entered, reached = frozenset(roots), set[tuple[str, Digest]]()
    for cycle in state.cycles.values() if entered else ():
        for done in cycle.phases.values():
            made_from = _follows(cycle, done, entered, reached)
            bad = {item for item in done.artifacts if made_from or item.digest in entered}
            if any(item.kind == "accepted" for item in bad):
                bad |= {item for item in done.artifacts if item.kind == "archive"}
            reached |= {(item.path, item.digest) for item in bad}
    return Taint(roots=entered, reached=frozenset(reached))


def _follows(cycle: CycleRecord, done: PhaseRecord, roots: Collection[Digest], reached: Collection[tuple[str, Digest]]) -> bool:
    used = [item for item in done.inputs if (done.phase, item["name"]) not in CARRIED]
    return any(item["digest"] in roots or (item["path"], item["digest"]) in reached for item in used) or any(
        digest in roots for digest in pins_of(cycle, done.phase).values()
    )


def pins_of(cycle: CycleRecord, phase: str) -> dict[str, Digest]:
    """Code, environment and plan that a phase of this cycle stands on, by name."""
    about = {name: digest for name, digest in cycle.pins.items() if phase in _STANDS_ON.get(name, (phase,))}
    return {**about, "plan": cycle.plan}


def promoted(state: LoopState) -> list[str]:
    """Cycles whose model was ever promoted, by the gate or by persons, oldest first."""
    executed = {item.digest for asked in state.acts.requests.values() if _executed(asked) for item in asked.subjects}
    return [name for name, each in state.cycles.items() if each.action == "promote" or _model(each) in executed]


def _executed(asked: object) -> bool:
    return getattr(asked, "executed", None) is not None and getattr(asked, "action", "") == "promote"


def _model(record: CycleRecord) -> Digest | None:
    found = record.artifact("model")
    return found.digest if found else None


def starts(state: LoopState, champion: str | None, last: str | None) -> Iterator[Artifact]:
    """The artifacts that a cycle after ``last`` would start from, accounts apart."""
    wanted = ((champion, ("model", "evaluation")), (last, ("accepted", "archive")), ("c0000", ("heldout", "suites", "model")))
    for name, kinds in wanted:
        found = [state.cycles[name].artifact(kind) for kind in kinds] if name in state.cycles else []
        yield from (item for item in found if item is not None)


def refuse(state: LoopState, champion: str | None, last: str | None, what: str) -> None:
    """RefusedError where what a cycle would start from, with this champion and after this cycle, is tainted."""
    refuse_any(state, starts(state, champion, last), what)


def refuse_any(state: LoopState, artifacts: Iterable[Artifact], what: str) -> None:
    """RefusedError where one of these artifacts is tainted; ``what`` would use it."""
    known = taint(state) if state.acts.recalls else None
    bad = [item.path for item in artifacts if known and known.holds(item)]
    if bad:
        raise RefusedError(
            f"{what} would use what was recalled: {', '.join(dict.fromkeys(bad))}",
            "`loopwright recall --list` says why; `loopwright recall --retrain PLAN` goes on without it",
        )
