"""Recall: everything that was made from something bad, in one answer; taken out of use; and how to go on without it.

A person signs where the taint enters. What it reaches follows from the record (`loopwright.ledger.taint`), is refused everywhere
from then on, and the champion falls back to the last model that it doesn't reach, whose bytes were compared anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loopwright.clock import now
from loopwright.errors import UsageError
from loopwright.ledger.fold import LoopState
from loopwright.ledger.taint import Taint, spread, taint
from loopwright.quarantine import fall_back, fallback
from loopwright.store import git
from loopwright.store.files import write_atomic
from loopwright.trace.graph import Graph, Reached
from loopwright.trace.retrain import FOLDER, Retrain, plan_of, written
from loopwright.trace.rows import open_rows
from loopwright.trace.targets import Target
from loopwright.types import Artifact, Digest, canonical, digest_bytes, digest_value
from loopwright.workspace import Workspace

__all__ = ["Recall", "affected", "least", "listed", "outlook", "recall"]

_PART = 200
"""Digests in one statement, which has room for 65,535 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """What a recall reaches."""

    target: Target
    graph: Graph
    roots: tuple[str, ...]
    """The nodes at which it enters, without those that follow from others."""
    reached: Reached
    """Every node that was made from it, with the one before it on a shortest way."""
    carried: tuple[str, ...]
    """Artifacts that only an account leads to (an error budget, the first model's figures): told, not refused."""
    rows: int
    """Rows in tainted shards."""
    absent: tuple[str, ...]
    """Shards that are not on this disk; their rows count as recorded."""

    def artifacts(self) -> list[Artifact]:
        """Every tainted artifact."""
        return list(self.graph.artifacts(self.reached))

    def plain(self) -> dict[str, Any]:
        """The answer as JSON: by kind, each with what it was made from (``via``) and how far that is (``steps``)."""
        steps = _steps(self.reached)
        kinds: dict[str, list[dict[str, Any]]] = {}
        for name in self.reached:
            node = self.graph.nodes[name]
            if node.entity:
                told = {
                    "label": node.label,
                    "digest": node.digest,
                    "cycle": node.cycle,
                    "via": _via(self, name),
                    "steps": steps[name],
                }
                kinds.setdefault(node.kind, []).append(told)
        return {
            "schema_version": 1,
            "what": self.target.what,
            "artifact": self.target.digest,
            "enters": [self.graph.nodes[name].label for name in self.roots],
            "rows": {"recalled": None if self.target.rows is None else self.target.rows.height, "tainted": self.rows},
            "absent": list(self.absent),
            "affected": kinds,
            "carried": [self.graph.nodes[name].label for name in self.carried],
        }


def affected(root: Path, graph: Graph, target: Target) -> Recall:
    """What hangs on the target, without changing anything."""
    reached = graph.reach(target.start, carried=False)
    accounts = graph.reach(target.start)
    index = open_rows(root, graph.state)
    shards = [item for item in graph.artifacts(reached) if item.kind == "accepted"]
    return Recall(
        target=target,
        graph=graph,
        roots=least(graph, target.start),
        reached=reached,
        carried=tuple(name for name in accounts if name not in reached and graph.nodes[name].entity),
        rows=index.count(item.digest for item in shards),
        absent=tuple(path for path in index.absent if path in {item.path for item in shards}),
    )


def recall(workspace: Workspace, found: Recall, reason: str, hand: Any = None) -> dict[str, Any]:
    """Sign it, write the answer and the retrain plan below ``recalls/``, let the champion fall back; the answer.

    Done twice is done once. The files are committed; entries are published. ``hand`` is what signs for the person; None: the
    demonstration's operator.

    Raises:
        RefusedError, WorkspaceError: whoever calls holds no person's key.
    """
    state = found.graph.state
    roots = [found.graph.nodes[name].digest for name in found.roots]
    event = f"recall:{digest_value([found.target.digest, sorted(roots), sorted(found.target.contents)])[7:]}"
    name = _name(state, event)
    plan = plan_of(state, _known(found), found.target, reason, name, workspace.plan().sources)
    answer = {
        **found.plain(),
        "reason": reason,
        **outlook(workspace.root, found),
        "plan": f"{FOLDER}/{name}.yaml",
        "retrain": plan.model_dump(mode="json", exclude={"leave_out": {"rows"}}),
    }
    files = _write(workspace.root, name, answer, plan)
    entries = _sign(workspace, found, event, {"reason": reason, "name": name, **files}, {} if hand is None else {"hand": hand})
    git.commit(workspace.root, (FOLDER,), f"recall {name}: {found.target.what}")
    return {**answer, "entries": entries}


def outlook(root: Path, found: Recall) -> dict[str, Any]:
    """What signing it means besides: ``approvals`` and ``reports`` about something tainted, and the ``champion`` then. Changes nothing.

    The bytes of the model that the loop would fall back to are compared with the record.
    """
    champion, passed = _after(root, found.graph.state, _known(found))
    return {
        "approvals": _approvals(found.graph.state, found),
        "reports": _reports(root, found),
        "champion": {"was": found.graph.state.champion, "now": champion, "passed_over": passed},
    }


def listed(workspace: Workspace) -> list[dict[str, Any]]:
    """Every recall of the record, with how many artifacts each reaches today."""
    state = workspace.state()
    found = []
    for statement in state.acts.recalls:
        said = statement.predicate
        reached = spread(state, said["tainted"])
        same = {name: said.get(name) for name in ("name", "artifact", "what", "reason", "recalled_at", "plan")}
        found.append({"entry": statement.index, "key": statement.keyid, **same, "affected": len(reached.reached)})
    return found


def least(graph: Graph, start: tuple[str, ...]) -> tuple[str, ...]:
    """Starts that no other start leads to: what is recalled with them needs no digest of its own.

    Nodes stand in the order of the log, and nothing leads back.
    """
    wanted, kept, covered = set(start), list[str](), set[str]()
    for name in graph.nodes if len(wanted) > 1 else start:
        if name in wanted and name not in covered:
            kept.append(name)
            covered |= graph.reach([name], carried=False).keys()
    return tuple(kept)


def _via(found: Recall, name: str) -> dict[str, str] | None:
    """The artifact and the phase that this one was made from and by; None for where the taint enters."""
    way = found.reached[name][0]
    if way == name:
        return None
    if found.graph.nodes[way].entity:
        return {"phase": "", "from": found.graph.nodes[way].label, "as": found.reached[name][1]}
    before = found.reached[way][0]
    return {"phase": found.graph.nodes[way].label, "from": found.graph.nodes[before].label, "as": found.reached[way][1]}


def _steps(reached: Reached) -> dict[str, int]:
    """Phases between the start and each node."""
    steps: dict[str, int] = {}
    for name, (before, _) in reached.items():  # nearest first, so the one before is known
        steps[name] = 0 if before == name else steps[before] + name.startswith("phase:")
    return steps


def _name(state: LoopState, event: str) -> str:
    for statement in state.acts.recalls:
        if statement.event.startswith(event):
            return str(statement.predicate["name"])
    return f"{len({one.predicate.get('name') for one in state.acts.recalls}) + 1:04d}"


def _known(found: Recall) -> Taint:
    """What is tainted once this is signed."""
    state = found.graph.state
    return spread(state, taint(state).roots | {found.graph.nodes[name].digest for name in found.roots})


def _after(root: Path, state: LoopState, known: Taint) -> tuple[str | None, list[str]]:
    """The champion once this is signed."""
    here = state.cycles.get(state.champion or "")
    if here is None or not known.within(here):
        return state.champion, []
    return fallback(root, state, known)


def _approvals(state: LoopState, found: Recall) -> list[dict[str, Any]]:
    """What persons signed about something that is tainted now."""
    digests = {item.digest for item in found.artifacts()}
    asked = [request for request in state.acts.requests.values() if any(item.digest in digests for item in request.subjects)]
    told = [{"entry": request.index, "action": request.action, "executed": request.executed} for request in asked]
    return told + [{"entry": entry, "action": "approval"} for digest, entry in state.approvals.items() if digest in digests]


def _reports(root: Path, found: Recall) -> list[str]:
    """Documents in ``build/reports/`` about a cycle that has something tainted."""
    cycles = {item.path.split("/")[1] for item in found.artifacts() if item.path.startswith("cycles/")}
    files = sorted((root / "build" / "reports").glob("*"))
    return [file.relative_to(root).as_posix() for file in files if file.stem.rpartition("-")[2] in cycles]


def _write(root: Path, name: str, answer: Mapping[str, Any], plan: Retrain) -> dict[str, Digest]:
    """Both files; their digests by what the statement calls them."""
    told, planned = canonical(answer), written(plan)
    (root / FOLDER).mkdir(exist_ok=True)
    write_atomic(root / FOLDER / f"{name}.json", told)
    write_atomic(root / FOLDER / f"{name}.yaml", planned)
    return {"answer": digest_bytes(told), "plan": digest_bytes(planned)}


def _sign(workspace: Workspace, found: Recall, event: str, said: Mapping[str, Any], by: Mapping[str, Any]) -> list[int]:
    """The statements (one, unless it enters in very many places), and the rollback that follows from them."""
    ledger = workspace.ledger()
    try:
        entries = []
        for number, part in enumerate(_parts(found.roots)):
            subjects = list(found.graph.artifacts(part))
            tainted = sorted({found.graph.nodes[name].digest for name in part})
            predicate = {
                "artifact": found.target.digest,
                "what": found.target.what,
                "tainted": tainted,
                **said,
                "recalled_at": now(),
            }
            entries.append(ledger.append("recall", subjects, predicate, role="person", event=f"{event}:{number}", **by))
        ledger.publish()
        fall_back(workspace.root, ledger, workspace.state())
        return entries
    finally:
        ledger.close()


def _parts(roots: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if not roots:
        raise UsageError("nothing of the record is affected", "`loopwright lineage` shows what there is")
    for start in range(0, len(roots), _PART):
        yield roots[start : start + _PART]
