"""Who is checking the builder, whole: the links that the record tells, and which code maker and checker have in common.

Each phase's statement names the packages that its code digest covers (``environment.packages``). What two phases share is
what stands in both with the same digest: by design the domain, which sets the tasks, and the model family, which a judge needs
to score a model. The common ground of all phases (types, store, runtime) is nobody's in particular and is not named.
"""

from __future__ import annotations

from typing import Any

from loopwright.ledger.fold import CycleRecord, LoopState
from loopwright.ledger.independence import CHECKERS, who_checks

__all__ = ["checks", "shared_code"]


def checks(state: LoopState, record: CycleRecord) -> list[dict[str, Any]]:
    """The table of one cycle, a row a phase: `who_checks`, with ``shared_code`` before the verdict.

    Shared code is shown and forbids nothing: what may not be shared (keys, ancestors) decides the verdict.
    """
    rows = []
    for link in who_checks(state, record):
        verdict = link.pop("verdict")
        rows.append({**link, "shared_code": shared_code(record, link["phase"]), "verdict": verdict})
    return rows


def shared_code(record: CycleRecord, phase: str) -> list[str] | None:
    """Packages that made a phase's output and checked it as well; None where a version recorded none yet, or nobody checked."""
    checker = record.phases.get(CHECKERS.get(phase) or "")
    if checker is None:
        return None
    ours, theirs = (done.environment.get("packages") for done in (record.phases[phase], checker))
    if ours is None or theirs is None:
        return None
    return sorted(name for name, digest in ours.items() if theirs.get(name) == digest)
