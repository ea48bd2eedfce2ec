"""What is near one thing: a few phases each way, read through the index, so that a record of any length is answered at once.

`loopwright.trace.graph` is the whole record as a graph; this is the same graph, as far as somebody looks at it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from loopwright.errors import UsageError
from loopwright.index import Index
from loopwright.ledger.fold import CycleRecord
from loopwright.trace.graph import Graph, Node, add_phase

__all__ = ["MOST", "Near", "named", "near"]

MOST = 60
"""Nodes of a picture that a person can still read."""
_CYCLE = re.compile(r"(?:cycles/)?(c\d{4,})(?:/(.+))?")
_FIRST = ("model", "archive", "accepted", "suites")
"""What is meant by a cycle's name alone, as far as it has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """One answer."""

    graph: Graph
    """Holds more than is told (a phase comes with all that it used); what is told is in ``levels``."""
    start: str
    levels: Mapping[str, int]
    """Node -> phases between it and the start: below 0 what it was made from, above 0 what was made from it. Nearest first."""
    more: int
    """Phases beyond `MOST` that are not told, at least."""

    def nodes(self) -> list[Node]:
        """What is told."""
        return [self.graph.nodes[name] for name in self.levels]

    def edges(self) -> list[tuple[str, str, str]]:
        """(before, after, how) between what is told."""
        pairs = ((before, after, how) for before in self.levels for after, how in self.graph.forward.get(before, ()))
        return list(dict.fromkeys(edge for edge in pairs if edge[1] in self.levels))

    def way(self, node: str) -> list[str]:
        """The nodes from the start to this one, on a shortest way: only upwards, or only downwards."""
        inside = {name for name, level in self.levels.items() if level * self.levels[node] >= 0}
        edges = self.graph.backward if self.levels[node] < 0 else self.graph.forward
        before, waiting = {self.start: self.start}, [self.start]
        for here in waiting:
            for there, _ in edges.get(here, ()):
                if there in inside and there not in before:
                    before[there] = here
                    waiting.append(there)
        if node not in before:
            return [node]
        steps = [node]
        while steps[-1] != self.start:
            steps.append(before[steps[-1]])
        return steps[::-1]


class _Reading:
    """A graph that grows by the phases that are looked at."""

    def __init__(self, index: Index) -> None:
        self.index, self.graph = index, Graph(state=index.state())
        self.records: dict[str, CycleRecord | None] = {}
        self.more = 0

    def record(self, cycle: str) -> CycleRecord | None:
        if cycle not in self.records:
            self.records[cycle] = self.index.records([cycle]).get(cycle)
        return self.records[cycle]

    def phase(self, cycle: str, phase: str) -> str | None:
        """The node of a phase, with all that it used and made; None where the record has none."""
        name, record = f"phase:{cycle}/{phase}", self.record(cycle)
        if name not in self.graph.nodes and record is not None and phase in record.phases:
            [entry] = self.index.statements([record.phases[phase].index])
            add_phase(self.graph, record, record.phases[phase], entry)
        return name if name in self.graph.nodes else None

    def maker(self, node: Node) -> str | None:
        """The phase that made an artifact."""
        record = self.record(node.cycle) if node.cycle else None
        for phase, done in record.phases.items() if record else ():
            if any((item.path, item.digest) == _place(node) for item in done.artifacts):
                return self.phase(node.cycle, phase)
        return None

    def users(self, node: Node) -> list[str]:
        """The phases that used an artifact, in the order of the loop."""
        found = self.index.users(*_place(node), MOST)
        self.more += found.total - len(found.steps)
        phases = [name for step in found.steps if (name := self.phase(*step))]
        return [name for name in phases if any(before == node.id for before, _ in self.graph.backward[name])]


def _place(node: Node) -> tuple[str, str]:
    return node.id.partition("@")[0], node.digest


def named(index: Index, what: str) -> str:
    """The node that a person means: ``c0003/model``, ``c0003/train``, a path, a node's id, or the first digits of a digest.

    UsageError where the record knows nothing by that name, or several things.
    """
    return _named(_Reading(index), what)


def near(index: Index, what: str, *, up: int = 1, down: int = 1) -> Near:
    """What ``what`` was made from and what was made from it, so many phases each way."""
    reading = _Reading(index)
    start = _named(reading, what)
    levels = {start: 0}
    for sign, far, beyond in ((-1, up, _above), (1, down, _below)):
        edge, seen = [start], {start}
        for level in range(1, far + 1):
            edge = [name for name in _grown(reading, levels, sign * level, edge, beyond) if name not in seen]
            seen |= set(edge)
    return Near(graph=reading.graph, start=start, levels=levels, more=reading.more)


_Beyond = Callable[[_Reading, str], Iterator[tuple[str, Sequence[str]]]]


def _grown(reading: _Reading, levels: dict[str, int], level: int, edge: Sequence[str], beyond: _Beyond) -> list[str]:
    """One level more; the artifacts on its far side."""
    found: dict[str, None] = {}
    for name in edge:
        for phase, artifacts in beyond(reading, name):
            new = {phase, *artifacts} - levels.keys()
            if len(levels) + len(new) > MOST:
                reading.more += 1
                continue
            levels.setdefault(phase, level)
            for one in artifacts:
                levels.setdefault(one, level)
                found[one] = None
    return list(found)


def _above(reading: _Reading, name: str) -> Iterator[tuple[str, Sequence[str]]]:
    node = reading.graph.nodes[name]
    phase = name if node.kind == "phase" else reading.maker(node)
    if phase is not None:
        yield phase, [before for before, _ in reading.graph.backward[phase] if reading.graph.nodes[before].entity]


def _below(reading: _Reading, name: str) -> Iterator[tuple[str, Sequence[str]]]:
    node = reading.graph.nodes[name]
    for phase in [name] if node.kind == "phase" else reading.users(node):
        yield phase, [after for after, _ in reading.graph.forward.get(phase, ())]


def _named(reading: _Reading, what: str) -> str:
    said = what.removeprefix("phase:")
    if (told := _CYCLE.fullmatch(said.partition("@")[0])) is not None:
        found = _of_cycle(reading, told[1], told[2] or "")
    else:
        found = _of_digits(reading, *_parts(said))
    if not found:
        raise UsageError(f"the record knows nothing by the name {what!r}", "`loopwright show c0003` lists a cycle's artifacts")
    if len({reading.graph.nodes[name].digest for name in found}) > 1:
        told_all = ", ".join(sorted({reading.graph.nodes[name].label for name in found})[:6])
        raise UsageError(f"{what} may be {told_all}", "give more of it")
    return found[0]


def _of_cycle(reading: _Reading, cycle: str, rest: str) -> list[str]:
    record = reading.record(cycle)
    if record is None:
        return []
    if rest in record.phases:
        return [name for name in [reading.phase(cycle, rest)] if name]
    artifacts = [(phase, item) for phase, done in record.phases.items() for item in done.artifacts]
    wanted = (
        {f"cycles/{cycle}/{rest}"} if rest else {item.path for kind in _FIRST for _, item in artifacts if item.kind == kind}
    )
    fitting = [(phase, item) for phase, item in artifacts if item.path in wanted or item.kind == rest]
    for phase, _ in fitting:
        reading.phase(cycle, phase)
    order = sorted(fitting, key=lambda pair: _FIRST.index(pair[1].kind) if pair[1].kind in _FIRST else len(_FIRST))
    return [f"{item.path}@{item.digest}" for _, item in order[:1]]


def _parts(said: str) -> tuple[str, str]:
    """Path and digits of ``path@sha256:…``, or of digits alone."""
    path, at, digits = said.rpartition("@")
    return (path, digits) if at else ("", said)


def _of_digits(reading: _Reading, path: str, digits: str) -> list[str]:
    told = digits.removeprefix("sha256:")
    if not re.fullmatch(r"[0-9a-f]{6,64}", told):
        return []
    for step in reading.index.telling(told, MOST).steps:
        reading.phase(*step)
    nodes = [
        node for node in reading.graph.nodes.values() if node.entity and node.digest.removeprefix("sha256:").startswith(told)
    ]
    return [node.id for node in nodes if not path or node.id.startswith(f"{path}@")]
