"""What a recall would reach, before anybody signs it: descendants with the ways to them, the champion, and the command. Nothing is recalled here."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.sheet import Column, Figure, Notice, Sheet, Table
from app.views.whole import graph, kept
from app.words import Words
from loopwright.errors import LoopwrightError
from loopwright.index import Index
from loopwright.trace import targets
from loopwright.trace.graph import Graph
from loopwright.trace.recall import Recall, affected, outlook
from loopwright.trace.targets import Target
from loopwright.workspace import Workspace

if TYPE_CHECKING:
    from app.frame import Here

__all__ = ["KINDS", "LONG", "Asked", "View", "read", "view_of"]

KINDS = ("artifact", "source", "licence", "rows", "person")
LONG = 20_000
"""Entries of a log above which somebody has to ask for it: the whole record is read."""
_STEPS = 9
"""Names of a way that are told; of a longer one the ends."""
MOST = 500
"""Artifacts in the table; the JSON export has all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the address asks for."""

    by: str = KINDS[0]
    what: str = ""
    why: str = ""
    long: bool = False
    """Read the whole record although it is long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything on the page."""

    sheet: Sheet
    command: str = ""
    """What a person types to recall it; empty where there is nothing to recall."""
    ask_long: int = 0
    """Entries that the answer would read, where nobody asked for it yet."""
    go: Sequence[str] = ()
    """Names of the artifacts of the first table, in order."""


def read(index: Index, here: Here, asked: Asked) -> View:
    """Ask the record."""
    words, workspace = here.words, Workspace(root=here.root)
    past = _past(words, index)
    if not asked.what.strip():
        return View(sheet=Sheet(title=words("title"), tables=(past,)))
    if index.told["size"] > LONG and not asked.long:
        return View(sheet=Sheet(title=words("title"), tables=(past,)), ask_long=index.told["size"])
    try:
        found, after = kept(("recall", asked.by, asked.what), index, here.root, lambda: _answer(index, workspace, asked))
    except (LoopwrightError, OSError) as error:
        message, command = getattr(error, "message", str(error)), getattr(error, "next_step", "")
        return View(
            sheet=Sheet(
                title=words("title"),
                notices=(Notice(kind="error", title=words("gone"), detail=message, command=command),),
                tables=(past,),
            )
        )
    return view_of(words, asked, found, after, past)


def _answer(index: Index, workspace: Workspace, asked: Asked) -> tuple[Recall, Mapping[str, Any]]:
    """What it reaches and what that means; a model's bytes are read for it, so it is kept as long as the record does not grow."""
    whole = graph(index, workspace.root)
    found = affected(workspace.root, whole, _target(workspace, whole, asked))
    return found, outlook(workspace.root, found)


def _target(workspace: Workspace, whole: Graph, asked: Asked) -> Target:
    root, what = workspace.root, asked.what.strip()
    make: Mapping[str, Callable[[], Target]] = {
        "artifact": lambda: targets.artifact(whole, what),
        "source": lambda: targets.source(root, whole, workspace.plan().sources, what),
        "licence": lambda: targets.licence(root, whole, what),
        "rows": lambda: targets.rows(root, whole, what.replace(",", " ").split()),
        "person": lambda: targets.person(root, whole, workspace.plan().sources, what),
    }
    return make[asked.by]()


def view_of(words: Words, asked: Asked, found: Recall, after: Mapping[str, Any], past: Table) -> View:
    """The page for what a recall would reach."""
    told = found.plain()
    names = [name for name in found.reached if found.graph.nodes[name].entity]
    return View(
        sheet=Sheet(
            title=words("title"), notices=_notices(words, found, after), figures=_figures(words, found, after["champion"]),
            tables=(_reached(words, found, told, names), _other(words, found, after), past), facts={"answer": {**told, **after}},
        ),
        command=command_of(asked) if names else "", go=[found.graph.nodes[name].label for name in names],
    )  # fmt: skip


def command_of(asked: Asked) -> str:
    """What a person types. Every word is quoted for a shell: it comes from an address."""
    what = asked.what.strip()
    if asked.by == "rows":
        said = [part for one in what.replace(",", " ").split() for part in ("--rows", one)]
    elif asked.by == "artifact":
        said = [what] if not what.startswith("-") else ["--", what]
    else:
        said = [f"--{asked.by}={what}"]
    options = ["--why", asked.why.strip() or "…"]
    return shlex.join(["loopwright", "recall", *(options + said if said[0] == "--" else said + options)])


def _figures(words: Words, found: Recall, champion: Mapping[str, Any]) -> tuple[Figure, ...]:
    cycles = {item.path.split("/")[1] for item in found.artifacts() if item.path.startswith("cycles/")}
    kinds = Counter(item.kind for item in found.artifacts())
    recalled = None if found.target.rows is None else found.target.rows.height
    moved = champion["was"] != champion["now"]
    then = champion["now"] or words("no_champion")
    note = words("champion_note", was=champion["was"]) if moved else words("champion_stays")
    return (
        Figure(label=words("artifacts"), value=words.count(sum(kinds.values())), note=words("in_cycles", n=words.count(len(cycles)))),
        Figure(label=words("models"), value=words.count(kinds["model"])),
        Figure(label=words("rows"), value=words.count(found.rows), note=words("rows_note", n=words.count(recalled)) if recalled is not None else words("rows_all")),
        Figure(label=words("champion_then"), value=then, note=note, mark="bad" if moved and champion["now"] is None else "warn" if moved else "good"),
    )  # fmt: skip


def _notices(words: Words, found: Recall, after: Mapping[str, Any]) -> tuple[Notice, ...]:
    notices = []
    champion = after["champion"]
    if champion["was"] is not None and champion["now"] is None:
        notices.append(Notice(kind="error", title=words("none_left"), detail="\n".join(champion["passed_over"])))
    elif champion["was"] != champion["now"]:
        title = words("falls_back", was=champion["was"], now=champion["now"])
        notices.append(Notice(kind="warning", title=title, detail="\n".join(champion["passed_over"])))
    if found.absent:
        notices.append(
            Notice(
                kind="warning",
                title=words("absent", n=words.count(len(found.absent))),
                detail="\n".join(found.absent),
                command="dvc pull",
            )
        )
    return tuple(notices)


def _reached(words: Words, found: Recall, told: Mapping[str, Any], names: Sequence[str]) -> Table:
    steps = {(one["label"], one["digest"]): one["steps"] for kind in told["affected"].values() for one in kind}
    rows = []
    for name in names[:MOST]:
        node, way = found.graph.nodes[name], [found.graph.nodes[one].label for one in found.graph.way(found.reached, name)]
        short = way if len(way) <= _STEPS else [*way[: _STEPS // 2], "…", *way[-(_STEPS // 2) :]]
        rows.append({
            "name": node.label, "kind": words.of("lineage").named("kind", node.kind), "cycle": node.cycle or None,
            "steps": steps[node.label, node.digest], "way": " → ".join(short), "digest": node.digest,
        })  # fmt: skip
    columns = (
        Column(key="name", label=words("column.name")), Column(key="kind", label=words("column.kind")), Column(key="cycle", label=words("cycle")),
        Column(key="steps", label=words("column.steps"), kind="count"), Column(key="way", label=words("column.way"), width="large"),
        Column(key="digest", label=words("column.digest"), kind="digest"),
    )  # fmt: skip
    note = (
        words("reached_note") if len(names) <= MOST else words("reached_some", n=words.count(MOST), of=words.count(len(names)))
    )
    return Table(name="reached", title=words("reached"), columns=columns, rows=rows, note=note, total=len(names))


def _other(words: Words, found: Recall, after: Mapping[str, Any]) -> Table:
    """What is told and not refused: accounts, approvals, documents."""
    rows = [{"what": words("other.carried"), "name": found.graph.nodes[name].label} for name in found.carried]
    rows += [
        {"what": words("other.approval"), "name": f"{one['action']}, {words('entry', n=words.count(one['entry']))}"}
        for one in after["approvals"]
    ]
    rows += [{"what": words("other.report"), "name": path} for path in after["reports"]]
    columns = (Column(key="what", label=words("column.kind")), Column(key="name", label=words("column.name"), width="large"))
    return Table(name="other", title=words("other"), columns=columns, rows=rows, note=words("other_note"))


def _past(words: Words, index: Index) -> Table:
    """Recalls of the record, newest first; one that enters in very many places is several entries."""
    keys = ("name", "what", "reason", "recalled_at", "plan", "artifact")
    told = [
        {"entry": one.index, "key": one.keyid, **{key: one.predicate.get(key) for key in keys}}
        for one in index.state().acts.recalls
    ]
    columns = (
        Column(key="entry", label=words("column.entry"), kind="count"), Column(key="recalled_at", label=words("column.at"), kind="time"),
        Column(key="what", label=words("column.what")), Column(key="reason", label=words("column.reason"), width="large"),
        Column(key="key", label=words("column.key")), Column(key="plan", label=words("column.plan")),
    )  # fmt: skip
    return Table(name="recalls", title=words("past"), columns=columns, rows=told[::-1])
