"""The plan to train again without what was recalled: written with every recall, and run as a loop of its own.

A record is never rewritten, so the retraining is another workspace: a fork of the last cycle that nothing recalled led to, or a
new beginning where there is none. What is left out stands in its plan (`loopwright.plan.Exclude`), so its phases stay pure and
its genesis entry says what it was trained without.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from loopwright.errors import UsageError
from loopwright.ledger.fold import CycleRecord, LoopState
from loopwright.ledger.taint import Taint, starts
from loopwright.plan import Section, Source
from loopwright.trace.targets import Target
from loopwright.types import Digest, cycle_number, digest_bytes, seed_of
from loopwright.workspace import Workspace, begin_again, fork

__all__ = ["FOLDER", "Retrain", "plan_of", "read_plan", "retrain", "written"]

FOLDER = "recalls"
"""Where a workspace keeps answers and plans, in git."""


class LeaveOut(Section):
    """What the next training does without."""

    sources: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    """By content (`loopwright.store.tables.content_id`)."""


class Cost(Section):
    """What it will take: an estimate."""

    cycles: int
    hours: float
    tokens: int
    method: str = "what the same cycles took, by their signed entries; another machine takes another time"


class Retrain(Section):
    """``recalls/NAME.yaml``."""

    schema_version: Literal[1] = 1
    recall: str
    """Name of the recall, and of this file."""
    artifact: Digest
    what: str
    reason: str
    start: str | None
    """The cycle to go on from: the last that nothing recalled led to. None: begin again, with the human data."""
    leave_out: LeaveOut
    seed: int | None
    """Another seed for the loop, where the same one would make the same artifact again; None: as it was."""
    note: str
    again: tuple[str, ...]
    """The cycles that have to be turned again."""
    cost: Cost


def plan_of(state: LoopState, known: Taint, target: Target, reason: str, name: str, sources: Sequence[Source]) -> Retrain:
    """The plan that goes with a recall; ``known`` is what this and all earlier ones reach."""
    decided = [record for record in state.cycles.values() if record.closed_at and "decide" in record.phases]
    clean = [each for each in decided if not any(map(known.holds, starts(state, each.champion_after, each.cycle)))]
    start = clean[-1].cycle if clean else None
    again = decided[[each.cycle for each in decided].index(start) + 1 :] if start else decided
    whole = (*target.sources, *(one.path for one in sources if one.licence in target.licences))
    artifact = target.rows is None
    return Retrain(
        recall=name,
        artifact=target.digest,
        what=target.what,
        reason=reason,
        start=start,
        leave_out=LeaveOut(sources=tuple(dict.fromkeys(whole)), licences=target.licences, rows=target.contents),
        seed=seed_of("retrain", target.digest) % 2**31 if artifact else None,
        note=_NOTES["artifact" if artifact else "rows"],
        again=tuple(each.cycle for each in again),
        cost=_cost(again),
    )


_NOTES = {
    "rows": "The rows are refused by what they say, whoever offers them again.",
    "artifact": "The same seed, code and inputs would make the same bytes again: the seed is another one. "
    "Where code or packages were at fault, change them first.",
}


def _cost(cycles: Sequence[CycleRecord]) -> Cost:
    done = [phase for cycle in cycles for phase in cycle.phases.values()]
    tokens = sum(int(phase.summary.get("tokens", 0)) for phase in done)
    return Cost(cycles=len(cycles), hours=round(sum(phase.seconds for phase in done) / 3600, 4), tokens=tokens)


def written(plan: Retrain) -> bytes:
    """The plan as YAML, in the order of its fields."""
    head = "# Written by `loopwright recall`; `loopwright recall --retrain FILE --directory DIR` carries it out.\n"
    return (head + yaml.safe_dump(plan.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)).encode()


def read_plan(path: Path) -> tuple[Retrain, Digest]:
    """A plan and the digest of its bytes; UsageError where the file is none."""
    try:
        data = path.read_bytes()
        value = yaml.safe_load(data)
        lists = {key: tuple(item) for key, item in value["leave_out"].items()}
        return Retrain.model_validate({**value, "leave_out": lists, "again": tuple(value["again"])}), digest_bytes(data)
    except (OSError, yaml.YAMLError, ValidationError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{path} is no retrain plan: {error}", "`loopwright recall --list` names them") from error


def retrain(workspace: Workspace, path: Path, directory: Path) -> tuple[Workspace, int]:
    """Make the loop that a plan asks for; the workspace and the number of the last cycle to turn.

    Raises:
        UsageError: the file is no plan, or not the one that was signed.
        RefusedError: what the plan starts from was recalled since.
    """
    plan, digest = read_plan(path)
    signed = {recall.predicate.get("plan") for recall in workspace.state().acts.recalls}
    if digest not in signed:
        raise UsageError(f"{path} is not as it was signed with a recall", f"`git checkout -- {FOLDER}`")
    settings = _settings(workspace, plan, digest)
    name = f"{workspace.plan().name}-{plan.recall}"[:63]
    if plan.start is None:
        made = begin_again(
            workspace, directory, {"name": name, **settings}, plan.leave_out.sources, frozenset(plan.leave_out.rows)
        )
        return made, max(map(cycle_number, plan.again), default=0)
    return fork(workspace, plan.start, directory, {"name": name, **settings}), cycle_number(plan.start) + len(plan.again)


def _settings(workspace: Workspace, plan: Retrain, digest: Digest) -> dict[str, Any]:
    """Keys of the loop's plan: what earlier recalls left out stays out."""
    before, out = workspace.plan().exclude, plan.leave_out
    exclude = {
        "rows": sorted({*before.rows, *out.rows}),
        "licences": sorted({*before.licences, *out.licences}),
        "recall": digest,
    }
    kept = [one.model_dump(mode="json") for one in workspace.plan().sources if one.path not in out.sources]
    return {"exclude": exclude, "sources": kept, **({} if plan.seed is None else {"seed": plan.seed})}
