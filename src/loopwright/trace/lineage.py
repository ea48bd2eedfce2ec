"""Where a thing comes from and what hangs on it: of an artifact, a phase, a key, a digest, a row or a task.

For a row the links of the record are joined with those of the tables: row → task → prompt → the checkpoint that wrote it →
the verifier run that let it in → the data sets that hold it → the models that learnt from them; and for a model the reverse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from loopwright.errors import UsageError
from loopwright.ledger.fold import CycleRecord
from loopwright.trace.graph import Graph, Node, artifact_id, graph_of
from loopwright.trace.rows import open_rows
from loopwright.workspace import Workspace

__all__ = ["Lineage", "lineage", "read_graph", "row_links", "rows_behind", "shards_behind"]

_MANY = 50
"""Rows of a task that an answer tells in full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """One answer."""

    graph: Graph
    start: tuple[str, ...]
    """Nodes that were asked for; of a row, its shard."""
    reached: Mapping[str, tuple[str, str]]
    down: bool
    rows: tuple[Mapping[str, Any], ...] = ()
    """Where a row or a task was asked for: the rows with their links."""
    behind: Mapping[str, Any] | None = None
    """Where a model, an archive or a shard was asked for: the rows in it, counted."""

    def edges(self) -> list[tuple[str, str, str]]:
        """(before, after, how) between the nodes of the answer."""
        inside = self.reached.keys()
        pairs = ((before, after, how) for before in inside for after, how in self.graph.forward.get(before, ()))
        return [edge for edge in pairs if edge[1] in inside]

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        nodes = [self.graph.nodes[name] for name in self.reached]
        return {
            "schema_version": 1,
            "start": list(self.start),
            "direction": "down" if self.down else "up",
            "rows": [dict(row) for row in self.rows],
            "behind": self.behind,
            "nodes": [_told(node, self.reached[node.id]) for node in nodes],
            "edges": [{"from": before, "to": after, "how": how} for before, after, how in self.edges()],
        }


def read_graph(workspace: Workspace) -> Graph:
    """The graph of a workspace's record as it is now."""
    ledger = workspace.ledger()
    try:
        return graph_of(list(ledger.statements()))
    finally:
        ledger.close()


def lineage(workspace: Workspace, what: str, *, down: bool = False) -> Lineage:
    """The ancestors of ``what``, or its descendants.

    Raises:
        UsageError: nothing is called so, or several things.
    """
    graph = read_graph(workspace)
    if what in graph.state.cycles:
        raise UsageError(f"{what} is a cycle, which made many things", f"for example `loopwright lineage {what}/model`")
    found = graph.find(what)
    if not found:
        rows = _rows(workspace, graph, what)
        start = tuple(dict.fromkeys(artifact_id(row["path"], row["shard"]) for row in rows))
        return Lineage(graph=graph, start=start, reached=graph.reach(start, down=down), down=down, rows=tuple(rows))
    start = tuple(node.id for node in graph.one(what))
    behind = rows_behind(workspace.root, graph, graph.nodes[start[0]])
    return Lineage(graph=graph, start=start, reached=graph.reach(start, down=down), down=down, behind=behind)


def rows_behind(root: Path, graph: Graph, node: Node) -> dict[str, Any] | None:
    """The rows that a shard, an archive or a model was made of, counted by cycle, origin and level; None for other kinds."""
    shards = shards_behind(graph, node)
    if shards is None:
        return None
    index = open_rows(root, graph.state)
    origin = pl.when(pl.col("origin") == "human").then(pl.lit("human")).otherwise(pl.lit("model"))
    found = index.where(index.within(node.digest for node in shards)).with_columns(kind=origin)
    grouped = found.group_by("path", "kind", "level").len("rows").sort("path", "kind", "level")
    return {"rows": found.height, "shards": len(shards), "absent": list(index.absent), "by": grouped.to_dicts()}


def shards_behind(graph: Graph, node: Node) -> list[Node] | None:
    """A model's are its archive's, an archive's those of its chain: `accepted` along `merge` alone, since all else steers only."""
    if node.kind == "accepted":
        return [node]
    if node.kind not in {"archive", "model"}:
        return None
    waiting, found, seen = [node], dict[str, Node](), set[str]()
    while waiting:
        here = waiting.pop()
        if here.id in seen:
            continue
        seen.add(here.id)
        if here.kind == "accepted":
            found[here.id] = here
            continue
        waiting += [graph.nodes[name] for name in _data_of(graph, here)]
    return list(found.values())


def _data_of(graph: Graph, node: Node) -> list[str]:
    """What the phase that made an artifact took its rows from. The seed phase writes shard and archive at once."""
    for activity, _ in graph.backward.get(node.id, ()):
        if graph.nodes[activity].label.endswith("/seed"):
            return [name for name, _ in graph.forward[activity] if graph.nodes[name].kind == "accepted"]
        used = graph.backward.get(activity, ())
        return [name for name, how in used if how in {"input archive", "input accepted", "input model"}]
    return []


def _rows(workspace: Workspace, graph: Graph, what: str) -> list[dict[str, Any]]:
    index = open_rows(workspace.root, graph.state)
    found = index.where((pl.col("id") == what) | (pl.col("task") == what))
    if found.is_empty():
        gone = f" ({len(index.absent)} shards are not on this disk: `dvc pull`)" if index.absent else ""
        raise UsageError(
            f"no artifact, phase, key, accepted row or task is called {what!r}{gone}",
            "`loopwright show c0003` lists artifacts; a refused row is in cycles/CYCLE/accepted/refused.parquet",
        )
    return row_links(workspace.root, graph, found.head(_MANY))


def row_links(root: Path, graph: Graph, found: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows with everything that they lead to, one dictionary each; joins with the proposals where these are on the disk."""
    drawn = _drawn(root, found)
    down = {
        path: _learnt(graph, artifact_id(path, digest)) for path, digest in found.select("path", "digest").unique().iter_rows()
    }
    models = {item.digest: f"{name}/model" for name, each in graph.state.cycles.items() if (item := each.artifact("model"))}
    models |= _elsewhere(graph)
    rows = []
    for row in found.join(drawn, on="id", how="left", maintain_order="left").to_dicts():
        cycle = row["path"].split("/")[1]
        human = row["origin"] == "human"
        data, learnt = down[row["path"]]
        rows.append(
            {
                "id": row["id"],
                "path": row["path"],
                "shard": row["digest"],
                "task": row["task"],
                "level": row["level"],
                "prompt": row["prompt_digest"],
                "licence": row["licence"],
                "origin": row["origin"],
                "generator": None if human else {"digest": row["origin"], "model": models.get(row["origin"], "?/model")},
                "drawn": None if human else {name: row[name] for name in ("sample", "seed", "tokens")},
                "verifier": {"identity": row["verifier"], **_run(graph.state.cycles[cycle], human=human)},
                "data_sets": data,
                "models": learnt,
            }
        )
    return rows


def _elsewhere(graph: Graph) -> dict[str, str]:
    """Models of nobody's here that generated, by their identity: the name that they answered under."""
    made = [
        each.phases["generate"].summary.get("external") for each in graph.state.cycles.values() if "generate" in each.phases
    ]
    return {said["digest"]: f"{said['model']} (external)" for said in made if said}


def _run(cycle: CycleRecord, *, human: bool) -> dict[str, Any]:
    """The run that let a row in: the phase's key and entry, and how isolated what it judged was."""
    done = cycle.phases["seed" if human and "seed" in cycle.phases else "verify"]
    return {
        "phase": f"{cycle.cycle}/{done.phase}",
        "key": done.key,
        "entry": done.index,
        "isolation": done.summary.get("isolation"),
    }


def _learnt(graph: Graph, shard: str) -> tuple[list[str], list[str]]:
    """Archives that hold a shard, and models that were trained on one of these."""
    first = [
        made for maker in _seeding(graph, shard) for made, _ in graph.forward[maker] if graph.nodes[made].kind == "archive"
    ]
    waiting = [*first, *_made_from(graph, shard, "input accepted", "archive")]
    archives = dict.fromkeys(waiting)
    while waiting:
        new = [made for made in _made_from(graph, waiting.pop(), "input archive", "archive") if made not in archives]
        archives |= dict.fromkeys(new)
        waiting += new
    models = dict.fromkeys(made for one in archives for made in _made_from(graph, one, "input archive", "model"))
    return [graph.nodes[name].label for name in archives], [graph.nodes[name].label for name in models]


def _seeding(graph: Graph, shard: str) -> list[str]:
    """The seed phase, if it wrote this shard: it wrote the first archive beside it."""
    return [name for name, _ in graph.backward.get(shard, ()) if name.endswith("/seed")]


def _made_from(graph: Graph, node: str, how: str, kind: str) -> list[str]:
    takers = [name for name, used in graph.forward.get(node, ()) if used == how]
    return [made for taker in takers for made, _ in graph.forward.get(taker, ()) if graph.nodes[made].kind == kind]


def _drawn(root: Path, found: pl.DataFrame) -> pl.DataFrame:
    """How each row was drawn, from its cycle's proposals."""
    schema = pl.Schema({"id": pl.String(), "sample": pl.Int32(), "seed": pl.Int64(), "tokens": pl.Int32()})
    folders = [root / path.replace("/accepted", "/proposals") for path in found["path"].unique(maintain_order=True)]
    files: Sequence[Path] = [file for folder in folders for file in sorted(folder.glob("shard-*.parquet"))]
    if not files:
        return pl.DataFrame(schema=schema)
    wanted = pl.col("id").is_in(found["id"].implode())
    return pl.scan_parquet(list(files)).select(list(schema)).filter(wanted).collect().unique("id", maintain_order=True)


def _told(node: Node, before: tuple[str, str]) -> dict[str, Any]:
    same = {"id": node.id, "kind": node.kind, "label": node.label, "cycle": node.cycle or None, "digest": node.digest or None}
    facts = {name: value for name, value in node.facts.items() if name not in {"summary", "environment"}}
    return {**same, "via": {"node": before[0], "how": before[1]} if before[1] else None, "facts": facts}
