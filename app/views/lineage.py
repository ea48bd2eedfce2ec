"""Where one thing comes from and what was made from it, as plain values: a picture, the same as a table, and what its phase stood on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.sheet import Column, Figure, Mark, Notice, Sheet, Table
from app.views.whole import tainted
from app.words import Words
from loopwright.errors import UsageError
from loopwright.index import Index
from loopwright.ledger.taint import Taint
from loopwright.report.drawing import Arrow, Box
from loopwright.trace.graph import Node
from loopwright.trace.near import Near, near
from loopwright.types import Artifact

if TYPE_CHECKING:
    from app.frame import Here

__all__ = ["FARTHEST", "Asked", "View", "read", "view_of"]

FARTHEST = 6
_MARKS: Mapping[str, Mark] = {"recalled": "bad", "tainted": "bad", "champion": "good", "clean": "none"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the address asks for."""

    node: str = ""
    """Empty: the champion's model."""
    up: int = 1
    down: int = 1
    """Phases each way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything on the page."""

    sheet: Sheet
    label: str = ""
    boxes: Sequence[Box] = ()
    arrows: Sequence[Arrow] = ()
    ways: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """From the start to each box."""
    names: Sequence[str] = ()
    """Nodes of the table's rows, in order."""
    go: Mapping[str, str] = field(default_factory=dict)
    """What the address of each node is."""
    labels: Mapping[str, str] = field(default_factory=dict)
    words: str = ""
    """The picture for those who do not see it."""
    cycle: str = ""
    kind: str = ""


def read(index: Index, here: Here, asked: Asked) -> View:
    """Ask the record."""
    words = here.words
    what = asked.node.strip() or (f"{index.told['champion']}/model" if index.told["champion"] else "")
    if not what:
        notice = Notice(kind="info", title=words("nothing"), command="loopwright run")
        return View(sheet=Sheet(title=words.of("common")("page.lineage"), notices=(notice,)))
    try:
        found = near(index, what, up=asked.up, down=asked.down)
    except UsageError as error:
        gone = Notice(kind="error", title=words("gone"), detail=error.message, command=error.next_step)
        return View(sheet=Sheet(title=words.of("common")("page.lineage"), notices=(gone,)), label=what)
    return view_of(words, found, tainted(index, here.root, found.graph.state), index.told["champion"])


def view_of(words: Words, found: Near, known: Taint, champion: str | None) -> View:
    """The page for what is near something."""
    here = found.graph.nodes[found.start]
    standing = {node.id: _standing(node, known, champion) for node in found.nodes()}
    arrows = list(dict.fromkeys((before, after) for before, after, _ in found.edges()))
    boxes = [_box(words, node, standing[node.id], here=node.id == found.start) for node in found.nodes()]
    rows, names = _rows(words, found, standing)
    title = words("title", name=here.label)
    tables = (_near_table(words, rows), _stands(words, found))
    notices = () if not found.more else (Notice(kind="info", title=words("more", n=words.count(found.more))),)
    said = words(
        "picture", name=here.label, n=words.count(len(boxes)), bad=words.count(sum(_bad(one) for one in standing.values()))
    )
    sheet = Sheet(
        title=title, notices=notices, figures=_figures(words, found, here, standing[here.id]), tables=tables,
        facts={"start": here.id, "nodes": [node.id for node in found.nodes()], "edges": found.edges()},
    )  # fmt: skip
    return View(
        sheet=sheet, label=here.label, boxes=boxes, arrows=arrows,
        ways={node: found.way(node) for node in found.levels}, names=names, go={node.id: _address(node) for node in found.nodes()},
        labels={node.id: node.label for node in found.nodes()}, words=said, cycle=here.cycle, kind=here.kind,
    )  # fmt: skip


def _address(node: Node) -> str:
    """How a node is called in an address: short where it has a cycle."""
    return node.label if node.cycle or node.kind == "phase" else node.id


def _standing(node: Node, known: Taint, champion: str | None) -> str:
    if not node.entity:
        return ""
    item = Artifact(kind=node.kind, digest=node.digest, path=node.id.partition("@")[0])
    if item.digest in known.roots:
        return "recalled"
    if known.holds(item):
        return "tainted"
    return "champion" if node.kind == "model" and node.cycle == champion else "clean"


def _bad(standing: str) -> bool:
    return standing in {"recalled", "tainted"}


def _box(words: Words, node: Node, standing: str, *, here: bool) -> Box:
    if node.kind == "phase":
        return Box(id=node.id, title=node.label, note=words.span(node.facts["seconds"]), round=True, here=here)
    note = words(f"standing.{standing}") if standing != "clean" else words.named("kind", node.kind)
    mark = _MARKS[standing]
    return Box(id=node.id, title=node.label, note=note, mark=mark if mark != "none" else "", here=here)


def _figures(words: Words, found: Near, here: Node, standing: str) -> tuple[Figure, ...]:
    up, down = (
        sum(1 for node, level in found.levels.items() if level * sign > 0 and found.graph.nodes[node].entity)
        for sign in (-1, 1)
    )
    kind = words("kind.phase") if here.kind == "phase" else words.named("kind", here.kind)
    first = Figure(
        label=words("what"),
        value=kind,
        note=here.digest.removeprefix("sha256:")[:16] or words("entry", n=words.count(here.facts.get("entry"))),
    )
    state = (
        (
            Figure(
                label=words("standing"),
                value=words(f"standing.{standing}"),
                note=words(f"standing_note.{standing}"),
                mark=_MARKS[standing],
            ),
        )
        if standing
        else ()
    )
    counts = (
        Figure(label=words("came_from"), value=words.count(up), note=words("shown")),
        Figure(label=words("went_into"), value=words.count(down), note=words("shown")),
    )
    return (first, *state, *counts)  # fmt: skip


def _rows(words: Words, found: Near, standing: Mapping[str, str]) -> tuple[list[Mapping[str, object]], list[str]]:
    """Every box as a row, from the farthest before to the farthest after."""
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for one, other, how in found.edges():
        label = how.removeprefix("input ")
        after.setdefault(one, []).append(
            f"{found.graph.nodes[other].label} ({label})" if label != "made" else found.graph.nodes[other].label
        )
        before.setdefault(other, []).append(found.graph.nodes[one].label)
    names = sorted(found.levels, key=lambda name: found.levels[name])
    rows: list[Mapping[str, object]] = []
    for name in names:
        node, level = found.graph.nodes[name], found.levels[name]
        side = "here" if level == 0 else "before" if level < 0 else "after"
        rows.append({
            "where": words(f"where.{side}", n=words.count(abs(level))), "name": node.label, "kind": words.named("kind", node.kind),
            "standing": words(f"standing.{standing[name]}") if standing[name] else None, "from": ", ".join(before.get(name, ())) or None,
            "to": ", ".join(after.get(name, ())) or None, "digest": node.digest or None,
        })  # fmt: skip
    return rows, names


def _near_table(words: Words, rows: Sequence[Mapping[str, object]]) -> Table:
    marks: Mapping[str, Mark] = {words(f"standing.{name}"): mark for name, mark in _MARKS.items() if mark != "none"}
    columns = (
        Column(key="where", label=words("column.where")), Column(key="name", label=words("column.name")), Column(key="kind", label=words("column.kind")),
        Column(key="standing", label=words("standing"), marks=marks, width=150), Column(key="from", label=words("column.from"), width="medium"),
        Column(key="to", label=words("column.to"), width="medium"), Column(key="digest", label=words("column.digest"), kind="digest"),
    )  # fmt: skip
    return Table(name="near", title=words("table"), columns=columns, rows=rows, note=words("table_note"))


def _stands(words: Words, found: Near) -> Table:
    """What the phase that made the start, or is it, stood on besides its inputs: code, plan, packages, and who signed."""
    graph, here = found.graph, found.start
    phases = (
        [here] if graph.nodes[here].kind == "phase" else [name for name, how in graph.backward.get(here, ()) if how == "made"]
    )
    told = [
        (phase, graph.nodes[name], how)
        for phase in phases
        for name, how in graph.backward[phase]
        if not graph.nodes[name].entity
    ]
    rows = [
        {
            "phase": graph.nodes[phase].label,
            "how": words.named("how", how.removeprefix("stands on ")),
            "what": node.label,
            "digest": node.digest,
        }
        for phase, node, how in told
    ]
    columns = (
        Column(key="phase", label=words("kind.phase")), Column(key="how", label=words("column.how")), Column(key="what", label=words("column.name")),
        Column(key="digest", label=words("column.digest"), kind="digest"),
    )  # fmt: skip
    return Table(name="stands", title=words("stands"), columns=columns, rows=rows)
