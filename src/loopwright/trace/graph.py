"""The provenance graph: a fold over the record. Artifacts are entities, phases activities, principals agents (as in W3C PROV).

An artifact's node is one output at one path (``cycles/c0003/model@sha256:…``): equal bytes made twice are two nodes, so that
nothing hangs together that was merely equal. Edges lead from what was used to what was made of it. What a phase stood on besides
(who signed, code, plan, packages) are nodes without a past, so a key's or a digest's descendants can be asked for as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loopwright.errors import UsageError
from loopwright.ledger.fold import CycleRecord, LoopState, PhaseRecord, fold
from loopwright.ledger.statement import Statement
from loopwright.ledger.taint import CARRIED, pins_of
from loopwright.types import Artifact, Digest

__all__ = ["Graph", "Node", "Reached", "add_phase", "artifact_id", "graph_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One entity, activity or agent."""

    id: str
    kind: str
    """An artifact's kind (``model``, ``accepted`` …), ``phase``, ``principal``, or ``code``."""
    label: str
    """For people: ``c0003/model``, ``c0003 train``."""
    cycle: str
    """Where it was made; empty for what has no cycle."""
    digest: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Of an activity: entry, key, seconds, counts; of a principal: role and kind."""

    @property
    def entity(self) -> bool:
        """True for an artifact."""
        return self.kind not in {"phase", "principal", "code"}


Reached = Mapping[str, tuple[str, str]]
"""Node -> (the node before it on a shortest way from the start, how that one was used); a start's is itself and nothing."""


@dataclass(slots=True, kw_only=True)
class Graph:
    """Nodes by id, edges both ways."""

    state: LoopState
    nodes: dict[str, Node] = field(default_factory=dict)
    forward: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """Node -> (what follows, how): ``input`` and its name, ``made``, ``signed``, ``stands on``; ``carried`` for accounts, ``held in`` for a
    shard and the archive written with it."""
    backward: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def reach(self, start: Collection[str], *, down: bool = True, carried: bool = True) -> dict[str, tuple[str, str]]:
        """All that follow from the start (or, upwards, all that it follows from), nearest first, the start included."""
        edges = self.forward if down else self.backward
        found = {node: (node, "") for node in start}
        waiting = deque(start)
        while waiting:
            here = waiting.popleft()
            for there, how in edges.get(here, ()):
                if there not in found and (carried or how != "carried"):
                    found[there] = (here, how)
                    waiting.append(there)
        return found

    def way(self, reached: Reached, node: str) -> list[str]:
        """Nodes from the start to this one."""
        steps = [node]
        while reached[steps[-1]][0] != steps[-1]:
            steps.append(reached[steps[-1]][0])
        return steps[::-1]

    def find(self, what: str) -> list[Node]:
        """Nodes that a person may mean by ``c0003/model``, a path, a phase (``c0003/train``), or a digest's or key's first digits."""
        named = what if what.startswith(("cycles/", "sources", "recipes/")) else f"cycles/{what}"
        exact = [node for node in self.nodes.values() if node.id in {what, f"phase:{what}"} or node.id.startswith(f"{named}@")]
        if exact or len(what.removeprefix("sha256:")) < _SHORTEST:
            return exact
        digits = what.removeprefix("sha256:")
        return [node for node in self.nodes.values() if node.digest.removeprefix("sha256:").startswith(digits)]

    def one(self, what: str) -> list[Node]:
        """As `find`, and all with one digest; UsageError where there is none, or several digests begin like that."""
        found = self.find(what)
        if not found:
            raise UsageError(
                f"the record knows nothing by the name {what!r}", "`loopwright show c0003` lists a cycle's artifacts"
            )
        if len({node.digest or node.id for node in found}) > 1:
            said = ", ".join(sorted({node.label for node in found})[:6])
            raise UsageError(f"{what} may be {said}", "give more of it")
        return found

    def artifacts(self, nodes: Collection[str]) -> Iterator[Artifact]:
        """Those of the nodes that are artifacts."""
        for name in nodes:
            node = self.nodes[name]
            if node.entity:
                yield Artifact(kind=node.kind, digest=node.digest, path=name.partition("@")[0])

    def add(self, node: Node) -> str:
        """Add a node, unless it's there; its id."""
        self.nodes.setdefault(node.id, node)
        return node.id

    def link(self, before: str, after: str, how: str) -> None:
        """Add an edge."""
        self.forward.setdefault(before, []).append((after, how))
        self.backward.setdefault(after, []).append((before, how))


_SHORTEST = 6
"""Digits of a digest that a person has to give."""


def artifact_id(path: str, digest: Digest) -> str:
    """The node of one output at one path."""
    return f"{path}@{digest}"


def graph_of(statements: Sequence[Statement]) -> Graph:
    """The graph of a whole record, from its first entry."""
    graph = Graph(state=fold(statements))
    for cycle in graph.state.cycles.values():
        for done in cycle.phases.values():
            add_phase(graph, cycle, done, statements[done.index])
    return graph


def add_phase(graph: Graph, cycle: CycleRecord, done: PhaseRecord, entry: Statement) -> str:
    """Add a phase with all that it used, made and stood on; ``entry`` is the statement that told it. The phase's node."""
    name = f"{cycle.cycle}/{done.phase}"
    facts = {
        "entry": done.index,
        "key": done.key,
        "attempt": done.attempt,
        "started_at": done.started_at,
        "finished_at": done.finished_at,
        "seconds": done.seconds,
        "summary": done.summary,
        "environment": done.environment,
        "imported": entry.kind == "import",
    }
    activity = graph.add(Node(id=f"phase:{name}", kind="phase", label=name, cycle=cycle.cycle, facts=facts))
    for item in done.inputs:
        used = graph.add(_artifact(item["name"], item["path"], item["digest"]))
        graph.link(used, activity, "carried" if (done.phase, item["name"]) in CARRIED else f"input {item['name']}")
    for made in done.artifacts:
        graph.link(activity, graph.add(_artifact(made.kind, made.path, made.digest)), "made")
    shard, archive = (next((item for item in done.artifacts if item.kind == kind), None) for kind in ("accepted", "archive"))
    if shard and archive:  # written at once by the seed phase, yet the one holds the other
        graph.link(artifact_id(shard.path, shard.digest), artifact_id(archive.path, archive.digest), "held in")
    for pin, digest in pins_of(cycle, done.phase).items():
        stood = graph.add(Node(id=f"{pin}@{digest}", kind="code", label=f"{pin} {digest[7:19]}", cycle="", digest=digest))
        graph.link(stood, activity, f"stands on {pin}")
    graph.link(graph.add(_principal(graph.state, entry.keyid)), activity, "signed")
    return activity


def _artifact(kind: str, path: str, digest: Digest) -> Node:
    parts = path.split("/")
    inside = parts[0] == "cycles" and len(parts) > 2
    label = "/".join(parts[1:]) if inside else path
    return Node(id=artifact_id(path, digest), kind=kind, label=label, cycle=parts[1] if inside else "", digest=digest)


def _principal(state: LoopState, keyid: str) -> Node:
    held = state.roster.holdings.get(keyid)
    facts = {"role": held.principal.role, "kind": held.principal.kind} if held else {}
    said = facts.get("role", "principal")
    return Node(id=f"key:{keyid}", kind="principal", label=f"{said} {keyid}", cycle="", digest=keyid, facts=facts)
