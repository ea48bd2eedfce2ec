"""The phase ``merge``: the cycle's accepted rows become the archive's next link.

Rows join it whether or not the challenger that learns from them is promoted; nothing is copied and nothing ever leaves.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from loopwright.errors import PhaseError
from loopwright.plan import Mix
from loopwright.plugins import PhaseContext
from loopwright.store.archive import describe, write_link
from loopwright.store.tables import parts
from loopwright.verify.recipe import RECIPE

__all__ = ["merge"]


def merge(config: Mix, inputs: Mapping[str, Path], context: PhaseContext) -> dict[str, Any]:
    """Write ``archive`` from ``archive`` (of the cycle before) and ``accepted``; return the summary.

    How large a share of each batch is human is the recipe's matter; here the totals are recorded, and that there is any.

    Raises:
        IntegrityError: an input has no record.
        PhaseError: the plan keeps human data in training and the archive holds none.
    """
    rows = pl.read_parquet(parts(inputs["accepted"] / "rows.parquet"), columns=["origin"])
    recipe = inputs["accepted"] / RECIPE
    previous, shard = (inputs[name].relative_to(context.root).as_posix() for name in ("archive", "accepted"))
    link = describe(
        context.root,
        context.cycle,
        previous,
        shard,
        rows.height,
        rows.filter(pl.col("origin") == "human").height,
        "accepted" if recipe.exists() else None,
    )
    if config.human_floor > 0 and not link.human:
        raise PhaseError(
            f"the archive holds no human row, but the plan keeps at least {config.human_floor:.0%} of each batch human",
            "name human data under `sources:` in loop.yaml, or set mix.human_floor to 0",
        )
    output = context.output / "archive"
    output.mkdir(parents=True)
    write_link(output, link)
    if recipe.exists():
        shutil.copyfile(recipe, output / RECIPE)
    return {"rows": link.rows, "human": link.human, "synthetic": link.rows - link.human}
