"""Random samples: at least five of each evaluation, drawn by the cycle's seed and the checkpoint, so that nobody chooses them.

What models wrote is hostile: it is cut to a length that a page holds, and whoever shows it escapes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from loopwright.report.facts.binding import fact, table
from loopwright.report.facts.reading import Reader
from loopwright.types import canonical

COUNT = 5
SHOWN = 400
"""Characters of a text; what is longer ends in an ellipsis, and its digest is of the whole."""


def _seed(see: Reader) -> str:
    """Cycle seed, workspace and size of the checkpoint: known to nobody before the checkpoint is signed."""
    return f"{see.state.workspace}/{see.cycle.cycle}/{see.cycle.seed}/{see.source.record.covered}"


def _drawn(see: Reader, what: str, ids: Sequence[str]) -> list[int]:
    """Places of the five ids with the smallest digests of seed and id: each set of five is equally likely."""
    keys = sorted((hashlib.sha256(canonical([_seed(see), what, one])).digest(), at) for at, one in enumerate(ids))
    return [at for _, at in keys[:COUNT]]


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= SHOWN else f"{text[:SHOWN]}…"


@fact("eval.sample_seed", "derived")
def _sample_seed(see: Reader) -> str:
    return _seed(see)


@fact("eval.samples", "drawn")
def _samples(see: Reader) -> Any:
    see.phase("evaluate")
    results = see.table(see.artifact("evaluation"), "gate.parquet")
    suite = see.table(see.artifact("suites", see.record("c0000")), "gate.parquet")
    prompts = dict(suite.select("id", "prompt").iter_rows())
    rows = [results.row(at, named=True) for at in _drawn(see, "gate", results["task"].to_list())]
    told = [[row["task"], row["level"], _cut(prompts.get(row["task"])), _cut(row["answer"]), row["status"]] for row in rows]
    return table("task level prompt answer verdict", told)


@fact("eval.sealed_samples", "drawn")
def _sealed_samples(see: Reader) -> Any:
    see.phase("evaluate")
    results = see.table(see.artifact("evaluation"), "sealed.parquet")
    rows = [results.row(at, named=True) for at in _drawn(see, "sealed", results["task"].to_list())]
    return table("task level answer verdict", [[row["task"], row["level"], _cut(row["answer"]), row["status"]] for row in rows])


@fact("eval.generation_samples", "drawn")
def _generation_samples(see: Reader) -> Any:
    """Of what the cycle generated, kept rows and refused ones together, with what became of each."""
    import polars as pl

    judged = see.artifact("accepted")
    columns = ["id", "prompt", "answer", "level"]
    kept = (
        see.table(judged, "rows.parquet")
        .filter(pl.col("origin") != "human")
        .select(columns)
        .with_columns(reason=pl.lit("accepted"))
    )
    refused = see.table(judged, "refused.parquet").select([*columns, "reason"])
    frame = pl.concat([kept, refused.with_columns(reason=pl.col("reason").cast(pl.String))], how="vertical_relaxed").sort("id")
    rows = [frame.row(at, named=True) for at in _drawn(see, "generated", frame["id"].to_list())]
    return table(
        "task level prompt answer verdict",
        [[row["id"], row["level"], _cut(row["prompt"]), _cut(row["answer"]), row["reason"]] for row in rows],
    )
