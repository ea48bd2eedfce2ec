"""What a cycle starts from, by the record: the champion, what the cycle before it made, and what stays the same for all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from loopwright.ledger.fold import LoopState
from loopwright.store.artifacts import artifact_of
from loopwright.types import Artifact

__all__ = ["NO_RECIPE", "CycleState", "start"]

NO_RECIPE = "recipes/none.diff"
"""The recipe of a cycle that tries none: an empty diff."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleState:
    """What a cycle starts from: a fold over the ledger, as artifacts. All None in c0000 but the sources."""

    sources: Artifact | None = None
    recipe: Artifact | None = None
    """A diff that a person approved for this cycle, or the empty one."""
    champion: Artifact | None = None
    champion_scores: Artifact | None = None
    curriculum: Artifact | None = None
    """What the cycle before accepted, with its solve rates by level."""
    heldout: Artifact | None = None
    suites: Artifact | None = None
    archive: Artifact | None = None
    first: Artifact | None = None
    """c0000's model: what later ones are compared with, and the sentinel that the evaluator is watched by."""
    card: Artifact | None = None
    """The last cycle's collapse card: it carries what the first model measured."""
    error_budget: Artifact | None = None
    """The last decision: it carries how much of the gate's error rate is spent."""


def start(root: Path, state: LoopState, parent: str | None, prev: str | None, recipe: str) -> CycleState:
    """Of the cycle whose champion was made by ``parent`` and that follows ``prev``; ``recipe`` is the path of the diff that it tries.

    c0000 has neither.
    """
    if prev is None or parent is None:
        return CycleState(sources=artifact_of(root, "sources", "sources"))
    first, before, champion = state.cycles["c0000"], state.cycles[prev], state.cycles[parent]
    return CycleState(
        recipe=artifact_of(root, "recipe", recipe),
        champion=champion.artifact("model"),
        champion_scores=champion.artifact("evaluation"),
        curriculum=before.artifact("accepted"),
        heldout=first.artifact("heldout"),
        suites=first.artifact("suites"),
        archive=before.artifact("archive"),
        first=first.artifact("model"),
        card=before.artifact("card"),
        error_budget=before.artifact("decision"),
    )
