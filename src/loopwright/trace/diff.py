"""Two cycles beside each other: which rows came and went, which code, configuration and environment differ, and what it gained."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from loopwright.errors import IntegrityError, UsageError, WorkspaceError
from loopwright.gate.paired import Paired, gain_score, pair_up
from loopwright.ledger.fold import CycleRecord, LoopState
from loopwright.ledger.statement import Statement
from loopwright.store import git
from loopwright.trace.environment import recorded
from loopwright.trace.graph import Graph, artifact_id, graph_of
from loopwright.trace.lineage import shards_behind
from loopwright.trace.rows import checked_table
from loopwright.types import Artifact
from loopwright.workspace import Workspace, commit_of

__all__ = ["between", "diff"]

_CODE = ("generator", "judge", "flows", "lock")


def diff(workspace: Workspace, one: str, other: str) -> dict[str, Any]:
    """The difference from the first cycle to the second, as JSON.

    Raises:
        UsageError: one of them is no cycle of the record, or has no archive.
        IntegrityError: a table on disk differs from the record.
    """
    ledger = workspace.ledger()
    try:
        statements = list(ledger.statements())
    finally:
        ledger.close()
    graph = graph_of(statements)
    pair = [_cycle(graph, name) for name in (one, other)]
    found = between(
        workspace, graph.state, pair, {done.index: statements[done.index] for record in pair for done in record.phases.values()}
    )
    return {"schema_version": 1, "cycles": [one, other], "data": _data(workspace.root, graph, pair), **found}


def between(
    workspace: Workspace, state: LoopState, pair: Sequence[CycleRecord], statements: Mapping[int, Statement]
) -> dict[str, Any]:
    """`diff` without the rows: what can be told without the whole record.

    Args:
        workspace: Where tables and configurations lie.
        state: Holds both cycles, and those that were opened next after them.
        pair: The two cycles.
        statements: The entries of their phases by number.
    """
    then, now = (recorded(record) for record in pair)
    configs = [dict(_configuration(workspace, state, record)) for record in pair]
    return {
        "code": {
            **_pairs(pair, *({name: said.get(name) for name in _CODE} for said in (then, now))),
            **_phases(pair, statements),
        },
        "configuration": _pairs(pair, *configs),
        "environment": _pairs(
            pair, *({name: value for name, value in said.items() if name not in _CODE} for said in (then, now))
        ),
        "scores": {suite: _score(workspace.root, pair, suite) for suite in ("gate", "sealed")},
    }


def _cycle(graph: Graph, name: str) -> CycleRecord:
    record = graph.state.cycles.get(name)
    if record is None or record.artifact("archive") is None:
        raise UsageError(
            f"there is no cycle {name} with an archive (there are: {', '.join(graph.state.cycles)})", "`loopwright status`"
        )
    return record


def _pairs(pair: Sequence[CycleRecord], then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What differs by name, under the names of both cycles; what only one has is null in the other."""
    first, second = (record.cycle for record in pair)
    names = sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
    return {name: {first: then.get(name), second: now.get(name)} for name in names}


def _phases(pair: Sequence[CycleRecord], statements: Mapping[int, Statement]) -> dict[str, dict[str, Any]]:
    """Code digests by phase: a package that changed shows in the phases that use it."""
    told = [
        {f"phase {name}": statements[done.index].predicate.get("code") for name, done in record.phases.items()}
        for record in pair
    ]
    both = told[0].keys() & told[1].keys()
    return _pairs(pair, *({name: said[name] for name in both} for said in told))


def _data(root: Path, graph: Graph, pair: Sequence[CycleRecord]) -> dict[str, Any]:
    """Rows of one archive and of the other: only shards that they don't share are read."""
    chains = [_shards(graph, record) for record in pair]
    gone, new = (
        _rows(root, [item for digest, item in chains[side].items() if digest not in chains[1 - side]]) for side in (0, 1)
    )
    both = gone.join(new, on="id", how="inner", suffix="_now")
    changed = both.filter(pl.col("answer") != pl.col("answer_now"))
    shared = set(chains[0]) & set(chains[1])
    total = sum(pl.scan_parquet(checked_table(root, chains[0][one])).select(pl.len()).collect().item() for one in shared)
    parts = {"in": new.join(gone, on="id", how="anti"), "out": gone.join(new, on="id", how="anti"), "changed": changed}
    grouped = [frame.group_by("level", "origin").len("rows").with_columns(change=pl.lit(name)) for name, frame in parts.items()]
    by = pl.concat([frame.select("change", "level", "origin", "rows") for frame in grouped]).sort("change", "level", "origin")
    same = total + both.height - changed.height
    return {**{name: frame.height for name, frame in parts.items()}, "same": same, "by": by.to_dicts()}


def _shards(graph: Graph, record: CycleRecord) -> dict[str, Artifact]:
    archive = record.artifact("archive")
    found = shards_behind(graph, graph.nodes[artifact_id(archive.path, archive.digest)]) if archive else []
    return {node.digest: Artifact(kind="accepted", digest=node.digest, path=node.id.partition("@")[0]) for node in found or []}


def _rows(root: Path, shards: Sequence[Artifact]) -> pl.DataFrame:
    """What tells rows apart; ``origin`` is ``human`` or ``model``."""
    schema = {"id": pl.String, "answer": pl.String, "level": pl.Int32, "origin": pl.String}
    frames = [pl.read_parquet(checked_table(root, one), columns=list(schema)) for one in shards]
    origin = pl.when(pl.col("origin") == "human").then(pl.lit("human")).otherwise(pl.lit("model"))
    return pl.concat([pl.DataFrame(schema=schema), *frames]).with_columns(origin=origin)


def _configuration(workspace: Workspace, state: LoopState, record: CycleRecord) -> Iterator[tuple[str, Any]]:
    """Every key of the phases' recorded configurations, dotted; of an old cycle from its commit."""
    for phase in record.phases:
        path = f"cycles/{record.cycle}/config/{phase}.json"
        file = workspace.root / path
        data = file.read_bytes() if file.exists() else git.show(workspace.root, commit_of(workspace, state, record.cycle), path)
        yield from _flat(json.loads(data)["config"], phase)


def _flat(value: Any, at: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(item, f"{at}.{key}")
    else:
        yield at, value


def _score(root: Path, pair: Sequence[CycleRecord], suite: str) -> dict[str, Any]:
    """The gain from the first model to the second on the tasks that both were scored on, or why there is none."""
    try:
        tables = [_results(root, record, suite) for record in pair]
        both = tables[1].join(tables[0].rename({"passed": "champion"}), on="task", how="inner")
        paired: Paired = pair_up(both)
    except (IntegrityError, WorkspaceError) as error:
        return {"gain": None, "why": error.message}
    return {"gain": asdict(gain_score(paired)), "gained": paired.gained, "lost": paired.lost}


def _results(root: Path, record: CycleRecord, suite: str) -> pl.DataFrame:
    evaluation = record.artifact("evaluation")
    if evaluation is None:
        raise WorkspaceError(f"{record.cycle} scored no model")
    file = root / evaluation.path / f"{suite}.parquet"
    if not file.exists():
        raise WorkspaceError(f"{evaluation.path} is not on this disk")
    return pl.read_parquet(file, columns=["task", "passed"])
