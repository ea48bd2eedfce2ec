"""After a recall: which champion the loop falls back to, and that nothing goes on from what is tainted."""

from __future__ import annotations

from pathlib import Path

from loopwright.clock import now
from loopwright.errors import IntegrityError
from loopwright.ledger import Ledger
from loopwright.ledger.fold import LoopState
from loopwright.ledger.taint import Taint, promoted, taint
from loopwright.store.artifacts import check
from loopwright.types import Artifact

__all__ = ["fall_back", "fallback"]

_PROMOTED_ON = ("model", "evaluation", "card", "decision")
"""A model may be champion only while it and all that it was promoted on are untainted."""


def fallback(root: Path, state: LoopState, known: Taint) -> tuple[str | None, list[str]]:
    """The last promoted model that no recall reaches and whose bytes are the recorded ones; and why later ones are none."""
    passed: list[str] = []
    for name in reversed(promoted(state)):
        record = state.cycles[name]
        if any(known.holds(record.artifact(kind)) for kind in _PROMOTED_ON):
            continue
        model = record.artifact("model")
        if model is None:
            continue
        try:
            check(root, model, fresh=True)
        except IntegrityError as error:
            passed.append(f"{name}: {error.message}")
            continue
        return name, passed
    return None, passed


def fall_back(root: Path, ledger: Ledger, state: LoopState) -> tuple[str | None, list[str]]:
    """Where the champion is tainted: append the ``rollback`` to the last untainted one; the champion, None where there is none.

    Done twice is done once; ``state`` is the fold as of now. Also returns why candidates were passed over.
    """
    known = taint(state) if state.acts.recalls else None
    here = state.cycles.get(state.champion or "")
    if known is None or here is None or not any(known.holds(here.artifact(kind)) for kind in _PROMOTED_ON):
        return state.champion, []
    name, passed = fallback(root, state, known)
    if name is not None:
        model: Artifact | None = state.cycles[name].artifact("model")
        entry = state.acts.recalls[-1].index
        predicate = {
            "cycle": name,
            "from": state.champion,
            "reason": f"{state.champion} was recalled (entry {entry})",
            "recall": entry,
            "rolled_back_at": now(),
        }
        ledger.append(
            "rollback", [model] if model else [], predicate, role="controller", event=f"fallback:{entry}:{state.leaves}"
        )
        ledger.publish()
    return name, passed
