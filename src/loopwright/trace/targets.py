"""What a person may recall: an artifact, code, or rows by their ids, source, licence or person; and where the taint then enters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from loopwright.errors import UsageError
from loopwright.plan import Source
from loopwright.store import git
from loopwright.store.tables import content_id
from loopwright.trace.graph import Graph
from loopwright.trace.rows import RowIndex, checked_table, open_rows
from loopwright.types import Artifact, Digest, digest_bytes, digest_value

__all__ = ["Target", "artifact", "licence", "person", "rows", "source"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is recalled."""

    what: str
    """As a person would type it."""
    digest: Digest
    """Its identity: an artifact's or a file's bytes, or the set of row ids."""
    start: tuple[str, ...]
    """Nodes of the graph at which the taint enters."""
    rows: pl.DataFrame | None = None
    """The rows themselves (``id``, ``path``, ``digest`` of the shard, ``level``, ``origin``, ``licence``); None for all others."""
    contents: tuple[str, ...] = ()
    """What the rows say (`content_id`), to know them again."""
    sources: tuple[str, ...] = ()
    """Files to leave out as a whole."""
    licences: tuple[str, ...] = ()


def artifact(graph: Graph, what: str) -> Target:
    """An artifact by name, path or digest; or the code, plan or lock of a cycle by digest.

    UsageError for what is no such thing: a principal is revoked, a phase's outputs are recalled one by one.
    """
    nodes = graph.one(what)
    if any(node.kind == "phase" for node in nodes):
        made = ", ".join(graph.nodes[name].label for node in nodes for name, _ in graph.forward.get(node.id, ()))
        raise UsageError(f"{what} is a phase", f"recall what it made: {made}")
    if any(node.kind == "principal" for node in nodes):
        raise UsageError(f"{what} is a key", "`loopwright keys revoke` ends its rights; recall what it signed by name")
    return Target(what=what, digest=nodes[0].digest, start=tuple(node.id for node in nodes))


def rows(root: Path, graph: Graph, ids: Sequence[str]) -> Target:
    """Single rows by id; UsageError where one of them isn't in any shard."""
    index = open_rows(root, graph.state)
    found = index.where(pl.col("id").is_in(pl.Series(sorted(set(ids))).implode()))
    missing = sorted(set(ids) - set(found["id"]))
    if missing:
        raise UsageError(f"no accepted row has the id {', '.join(missing[:5])}{_absent(index)}", "`loopwright lineage ID`")
    return _target(root, graph, f"--rows {_few(ids)}", digest_value(sorted(set(ids))), found)


def licence(root: Path, graph: Graph, name: str) -> Target:
    """All rows under a licence, as SPDX writes it."""
    index = open_rows(root, graph.state)
    found = index.where(pl.col("licence") == name)
    if found.is_empty():
        raise UsageError(
            f"no accepted row is under the licence {name!r}{_absent(index)}", "the `licence` of each source is in loop.yaml"
        )
    return _target(root, graph, f"--licence {name}", digest_value(["licence", name]), found, licences=(name,))


def source(root: Path, graph: Graph, sources: Sequence[Source], name: str) -> Target:
    """All rows that a file of human data brought, by its path or its name without folder and ending."""
    paths = [one.path for one in sources if name in {one.path, Path(one.path).name, Path(one.path).stem}]
    if len(paths) != 1:
        known = ", ".join(one.path for one in sources) or "none"
        raise UsageError(f"{name!r} names {len(paths)} sources of loop.yaml (there are: {known})", "give the whole path")
    data = _committed(root, graph, paths[0])
    found = _human(root, graph, _lines(data))
    return _target(root, graph, f"--source {paths[0]}", digest_bytes(data), found, sources=(paths[0],))


def person(root: Path, graph: Graph, sources: Sequence[Source], salted: str) -> Target:
    """All rows of the lines in any source whose ``person`` is this salted digest."""
    lines = pl.concat([_EMPTY, *(_lines(_committed(root, graph, one.path)) for one in sources)])
    found = _human(root, graph, lines.filter(pl.col("person") == salted))
    return _target(root, graph, f"--person {salted}", digest_value(["person", salted]), found)


_EMPTY = pl.DataFrame(schema=dict.fromkeys(("prompt", "answer", "person"), pl.String))


def _committed(root: Path, graph: Graph, path: str) -> bytes:
    """A source as it was when the first cycle read it: the working copy may have changed since."""
    first = graph.state.cycles.get("c0000")
    if first is None:
        raise UsageError("nothing was learnt yet: there is no cycle", "leave the source out of loop.yaml")
    return git.show(root, first.commit, path)


def _lines(data: bytes) -> pl.DataFrame:
    """Prompt, answer and person of each line; lines that are no rows were refused then and are passed over now."""
    try:
        read = pl.read_ndjson(data, schema=dict(_EMPTY.schema), ignore_errors=True)
    except pl.exceptions.PolarsError as error:
        raise UsageError(f"a source is no JSON lines: {error}", "see the seed phase's refused rows") from error
    return read.drop_nulls(["prompt", "answer"])


def _human(root: Path, graph: Graph, said: pl.DataFrame) -> pl.DataFrame:
    """The human rows that say this, as the index tells them."""
    index = open_rows(root, graph.state)
    human = index.where(pl.col("origin") == "human")
    shards = [
        Artifact(kind="accepted", digest=digest, path=path)
        for path, digest in human.select("path", "digest").unique().iter_rows()
    ]
    texts = [pl.read_parquet(checked_table(root, one), columns=["id", "prompt", "answer"]) for one in shards]
    ids = [frame.join(said, on=["prompt", "answer"], how="semi")["id"] for frame in texts]
    found = human.filter(pl.col("id").is_in(pl.concat(ids).implode())) if ids else human
    if found.is_empty():
        raise UsageError("no accepted row comes from there, so nothing was learnt from it", "leave it out of loop.yaml")
    return found


def _target(
    root: Path,
    graph: Graph,
    what: str,
    digest: Digest,
    found: pl.DataFrame,
    *,
    sources: tuple[str, ...] = (),
    licences: tuple[str, ...] = (),
) -> Target:
    shards = [
        Artifact(kind="accepted", digest=one, path=path) for path, one in found.select("path", "digest").unique().iter_rows()
    ]
    ids = found["id"].implode()
    texts = pl.scan_parquet([path for one in shards for path in checked_table(root, one)], glob=False)
    said = texts.filter(pl.col("id").is_in(ids)).select("prompt", "answer").collect()
    wanted = {(one.path, one.digest) for one in shards}
    start = [name for name, node in graph.nodes.items() if node.entity and (name.partition("@")[0], node.digest) in wanted]
    contents = tuple(sorted({content_id(*row) for row in said.iter_rows()}))
    return Target(
        what=what, digest=digest, start=tuple(start), rows=found, contents=contents, sources=sources, licences=licences
    )


def _absent(index: RowIndex) -> str:
    return f"; {len(index.absent)} shards are not on this disk (`dvc pull`)" if index.absent else ""


def _few(ids: Sequence[str]) -> str:
    return " ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")
