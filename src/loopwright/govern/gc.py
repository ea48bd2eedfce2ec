"""The only way to DVC's garbage collection: what the record, the law or an open question needs is never collected.

Kept is what the last 100 cycles, the champions and their ancestors need (all that ``dvc.lock`` names), what is held by
retention (EU AI Act, Article 18: ten years after placing on the market), what a standing recall names, and what an open
request is about or rests on. Under a freeze nothing is collected. What will be removed is signed before it is removed, so no
removal is without a record; a kill in between leaves objects that the next collection takes.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from loopwright.clock import now
from loopwright.govern.halt import not_frozen
from loopwright.ledger import Ledger
from loopwright.ledger.fold import LoopState, fold
from loopwright.ledger.statement import Statement
from loopwright.plan import Placed
from loopwright.store import collect, git
from loopwright.store.cycles import KEPT
from loopwright.types import Artifact, cycle_number, digest_value
from loopwright.workspace import Workspace

__all__ = ["Collected", "Item", "gc"]

_AT_ONCE = 40
"""Artifacts in one statement: a statement has a longest length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One output of one cycle, or (without a path) objects that no cycle's record names."""

    path: str
    cycle: str
    digest: str | None
    """Content digest by the record; None where it has none."""
    objects: tuple[str, ...]
    """Of the cache, by md5."""
    bytes: int
    """Of those that are in the cache here."""
    why: str
    """Why it is kept; empty where it is removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a collection keeps and removes, of what is in the cache here."""

    kept: tuple[Item, ...]
    removed: tuple[Item, ...]
    leaves: tuple[int, ...] = ()
    """Entries that say what was removed."""


def gc(workspace: Workspace, *, dry_run: bool = False, today: date | None = None) -> Collected:
    """Collect, or with ``dry_run`` say what would be; every object of the cache is in the answer.

    Raises:
        HaltedError: the workspace is frozen.
        LeaseHeld: a driver is at work.
    """
    ledger = workspace.ledger()
    try:
        with ledger.lease():
            not_frozen(workspace)
            statements = list(ledger.statements())
            known = _recorded(statements)
            held = tuple(dict.fromkeys((*known, *workspace.plan().retention)))
            found = _sorted_out(workspace, fold(statements), held, today or datetime.now(UTC).date())
            if dry_run or (not found.removed and held == known):
                return found
            leaves = tuple(_signed(ledger, found.removed, held))
            kept = {name for item in found.kept for name in item.objects}
            gone = {name for item in found.removed for name in item.objects} - kept
            collect.discard(workspace.root, sorted(gone), [item.path for item in found.removed if item.path])
            return Collected(kept=found.kept, removed=found.removed, leaves=leaves)
    finally:
        ledger.close()


def _recorded(statements: Sequence[Statement]) -> tuple[Placed, ...]:
    """What cycles were opened with and collections honoured: taking it out of the plan does not lift a duty."""
    told = [
        one for statement in statements if statement.kind in {"open", "gc"} for one in statement.predicate.get("retention", ())
    ]
    return tuple(dict.fromkeys(Placed.model_validate_json(json.dumps(one)) for one in told))


def _sorted_out(workspace: Workspace, state: LoopState, held: Sequence[Placed], today: date) -> Collected:
    root, sizes = workspace.root, collect.cached(workspace.root)
    present = collect.objects_now(root)
    past = collect.objects_of(root, _commits(workspace, state))
    needed = _needed(state)
    digests = {
        item.path: item for record in state.cycles.values() for done in record.phases.values() for item in done.artifacts
    }
    items = []
    for path, names in {**past, **present}.items():
        cycle, artifact = path.split("/")[1], digests.get(path)
        reasons = [f"needed by one of the last {KEPT} cycles, a champion, or the archive"] if path in present else []
        reasons += [why for one in held if (why := _retained(one, cycle, today))]
        reasons += [f"named by {by}" for what, by in needed.items() if what == cycle or (artifact and what == artifact.digest)]
        here = tuple(sorted(name for name in names if name in sizes))
        total = sum(sizes[name] for name in here)
        item = Item(
            path=path,
            cycle=cycle,
            digest=artifact.digest if artifact else None,
            objects=here,
            bytes=total,
            why="; ".join(reasons),
        )
        items += [item] if here else []  # what is not in the cache cannot be collected
    named = {name for item in items for name in item.objects}
    loose = tuple(name for name in sizes if name not in named)
    if loose:
        items.append(_loose(loose, sizes, held, today, needed))
    kept = {name for item in items if item.why for name in item.objects}
    removed = [item for item in items if not item.why and set(item.objects) - kept]
    return Collected(kept=tuple(item for item in items if item.why), removed=tuple(removed))


def _loose(
    names: tuple[str, ...], sizes: Mapping[str, int], held: Sequence[Placed], today: date, needed: Mapping[str, str]
) -> Item:
    """Objects of abandoned cycles and replays. What they belong to nobody can say, so any duty or open question keeps them."""
    duty = any(_retained(one, one.cycle, today) for one in held)
    why = "no cycle names it, and something is held by retention, a recall or a request" if duty or needed else ""
    return Item(path="", cycle="c0000", digest=None, objects=names, bytes=sum(sizes[name] for name in names), why=why)


def _commits(workspace: Workspace, state: LoopState) -> dict[str, str]:
    """The git commit that ended each closed cycle: it is in the next one's first entry, or it is HEAD."""
    names = list(state.cycles)
    ends = {name: state.cycles[after].commit for name, after in itertools.pairwise(names)}
    if names and state.open is None:
        ends[names[-1]] = str(git.head(workspace.root))
    return {name: commit for name, commit in ends.items() if commit != "none" and state.cycles[name].closed_at}


def _retained(one: Placed, cycle: str, today: date) -> str:
    """Why retention keeps this cycle, or nothing: a model needs every cycle before it, since the archive grew in all of them."""
    placed = one.placed_on_market
    until = date(placed.year + one.years, placed.month, min(placed.day, 28) if placed.month == 2 else placed.day)
    if cycle_number(cycle) > cycle_number(one.cycle) or today > until:
        return ""
    return f"retention until {until}: {one.cycle} was placed on the market on {placed} (EU AI Act, Article 18)"


def _needed(state: LoopState) -> dict[str, str]:
    """Digests and cycles that standing recalls and open requests name, and by whom."""
    found: dict[str, str] = {}
    for recall in state.acts.recalls:
        for digest in (recall.predicate["artifact"], *recall.predicate["tainted"]):
            found[digest] = f"the recall in entry {recall.index}"
    for request in state.acts.requests.values():
        if request.executed is None and request.said["expires_at"] > now():
            named = [*(one.digest for one in request.subjects), *request.said["evidence"]]
            found |= dict.fromkeys([*named, *_cycle_of(request.said["details"])], f"the open request in entry {request.index}")
    return found


def _cycle_of(details: Mapping[str, Any]) -> Collection[str]:
    cycle = details.get("cycle")
    return (cycle,) if isinstance(cycle, str) else ()


def _signed(ledger: Ledger, removed: Sequence[Item], held: Sequence[Placed]) -> Iterator[int]:
    retention = [one.model_dump(mode="json") for one in held]
    for start in range(0, max(len(removed), 1), _AT_ONCE):
        batch = removed[start : start + _AT_ONCE]
        told = [
            {
                "path": item.path or "objects that no cycle names",
                "digest": item.digest,
                "objects": len(item.objects),
                "md5s": digest_value(list(item.objects)),
                "bytes": item.bytes,
            }
            for item in batch
        ]
        predicate = {
            "cycles": sorted({item.cycle for item in batch if item.path}),
            "removed": told,
            "retention": retention,
            "collected_at": now(),
        }
        subjects = [Artifact(kind="removed", digest=item.digest, path=item.path) for item in batch if item.digest]
        yield ledger.append("gc", subjects, predicate, role="controller", event=f"gc:{ledger.size}")
    ledger.publish()
