"""All rows decided, one pile after the other: read, piled up by task, judged, and piled up again by their place in the shards.

What a pile cannot see alone is brought to it: ids that were given before, what the archive holds (as 128 bits a row), and what
the suites hold out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import polars as pl

from loopwright.domains.contamination import FILE, NGRAMS
from loopwright.plugins import PhaseContext
from loopwright.sections import VerifySection
from loopwright.store.archive import shards
from loopwright.store.tables import SIGNATURES, parts, read_table
from loopwright.types import Digest, seed_of
from loopwright.verify.judging import Judged, Pair, give_verdicts, refuse_failed
from loopwright.verify.measuring import Gold
from loopwright.verify.nearness import refuse_near
from loopwright.verify.piles import Piles, rows_of_a_pile
from loopwright.verify.schema import GivenAgain, read_proposals, refuse_given_again, size_of
from loopwright.verify.screening import (
    clean_text,
    content_keys,
    known_tasks,
    levels_of,
    limit,
    match_tasks,
    refuse_duplicates,
    refuse_recalled,
    refuse_unlearnable,
    stated_tasks,
    well_formed,
)

__all__ = ["Decided", "decided"]


@dataclass(slots=True, kw_only=True)
class Decided:
    """Every row with its first reason, or with none; and what the verifier did."""

    piles: Piles
    """By place: each pile is a row group of the tables to be written."""
    kept: pl.Series
    """Positions of the rows without a reason, in order."""
    isolation: Counter[str] = field(default_factory=Counter)
    scanned: int = 0
    gold: tuple[bool, ...] = ()
    levels: list[pl.DataFrame] = field(default_factory=list)
    """See `loopwright.verify.screening.levels_of`."""
    _size: int

    def groups(self) -> Iterator[pl.DataFrame]:
        """The rows in their order, a row group at a time; once."""
        return (self.piles.take(number).sort("row") for number in range(self.piles.count))

    def rows(self, places: Sequence[int]) -> list[dict[str, Any]]:
        """Id, prompt and answer of the rows at these positions, in the order of the positions given."""
        found = {}
        for number in sorted({place // self._size for place in places}):
            rows = self.piles.pile(number).select("row", "id", "prompt", "answer")
            found |= {row.pop("row"): row for row in rows.filter(pl.col("row").is_in(list(places))).to_dicts()}
        return [found[place] for place in places]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beside:
    """What every pile is held against."""

    heldout: frozenset[str]
    text: Mapping[str, str]
    archive: pl.DataFrame
    """Keys of archived rows (`content_keys`)."""
    tables: Sequence[tuple[Path, Digest]]
    """Tables of archived rows, each with its shard's digest."""
    elsewhere: bool
    """True where a model that is none of the loop's wrote the rows."""


@contextmanager
def decided(
    config: VerifySection, inputs: Mapping[str, Path], gold: Gold, context: PhaseContext, *, elsewhere: bool
) -> Iterator[Decided]:
    """Decide about all rows; the files that this needs in scratch are gone when the block ends.

    Raises:
        InfraError: the asked isolation is missing, or an answer could not be judged.
        IntegrityError: an input is not what was recorded, or is no table of proposals.
        PlanError: the domain has no hidden checks, and the plan does not say that this is meant.
    """
    told = size_of(inputs["proposals"])
    size = rows_of_a_pile(told.rows, told.bytes)
    count = 1 if config.near_duplicate is not None else max(1, -(-told.rows // size))
    with (
        Piles(context.scratch / "by-task", count) as tasks,
        Piles(context.scratch / "by-place", max(1, -(-told.rows // size))) as places,
    ):
        again = _read(inputs["proposals"], tasks)
        beside = _beside(inputs, context, elsewhere=elsewhere)
        shares = _shared(gold, count, context.seed)
        found = Decided(piles=places, kept=pl.Series(dtype=pl.UInt32), _size=size)
        passed, kept = dict[int, bool](), list[pl.Series]()
        for number, share in enumerate(shares):
            frame = refuse_given_again(tasks.take(number), again).sort("sample", "row")
            seen = _judged(config, frame, [gold[place][:2] for place in share], beside, context)
            frame = limit(seen.frame, config.per_task)
            found.levels.append(levels_of(frame))
            found.isolation.update(seen.isolation)
            found.scanned += seen.scanned
            passed |= dict(zip(share, seen.gold, strict=False))
            kept.append(frame.filter(pl.col("reason").is_null())["row"])
            places.put(frame.drop("sample", "status", "tried").sort("row"), pl.col("row") // size)
        found.kept = pl.concat(kept).sort()
        found.gold = tuple(passed[place] for place in sorted(passed))
        yield found


def _read(proposals: Path, tasks: Piles) -> pl.Series:
    """Lay all rows on piles by task; the positions of those whose id was given before."""
    given = GivenAgain(proposals)
    for batch in read_proposals(proposals):
        given.see(batch)
        tasks.put(batch.drop("tokens", "seed"), pl.col("task").hash())
    return given.rows()


def _shared(gold: Gold, count: int, seed: int) -> list[list[int]]:
    """Which answers of known truth are judged with which pile: the cycle's seed draws it, and every pile may have some."""
    draw = Random(seed_of("gold piles", seed))
    shares: list[list[int]] = [[] for _ in range(count)]
    for place in range(len(gold)):
        shares[draw.randrange(count)].append(place)
    return shares


def _judged(config: VerifySection, frame: pl.DataFrame, gold: Sequence[Pair], beside: _Beside, context: PhaseContext) -> Judged:
    """The rows of a pile, each without a reason or with its first, and what the verifier did."""
    tasks = stated_tasks(frame, context.domain)
    frame = match_tasks(frame, known_tasks(tasks), beside.heldout)
    frame = frame.with_columns(tried=pl.col("reason").is_null())
    frame = clean_text(well_formed(frame), beside.text)
    frame = refuse_recalled(frame, frozenset(config.exclude.rows))
    if beside.elsewhere:
        frame = refuse_unlearnable(frame, context.family, context.domain.alphabet())
    if config.accept == "unsafe_unverified":
        frame = frame.with_columns(tried=pl.lit(value=False), status=pl.lit(None, dtype=pl.String))
        return Judged(frame=refuse_duplicates(frame, beside.archive), isolation=Counter(), scanned=0)
    judged = give_verdicts(frame, tasks, gold, config, context)
    frame = refuse_failed(refuse_duplicates(judged.frame, beside.archive))
    return Judged(
        frame=refuse_near(frame, beside.tables, config, context),
        isolation=judged.isolation,
        scanned=judged.scanned,
        gold=judged.gold,
    )


def _beside(inputs: Mapping[str, Path], context: PhaseContext, *, elsewhere: bool) -> _Beside:
    tables = _archived(context.root, inputs["archive"])
    none = content_keys(pl.LazyFrame(schema={"prompt": pl.String, "answer": pl.String}))
    keys = pl.concat([none, *(content_keys(pl.scan_parquet(parts(path), glob=False)) for path, _ in tables)])
    return _Beside(
        heldout=frozenset(row["signature"] for row in read_table(inputs["heldout"] / "signatures.parquet", SIGNATURES)),
        text=_held_text(inputs["heldout"]),
        archive=keys.collect(engine="streaming"),
        tables=tables,
        elsewhere=elsewhere,
    )


def _held_text(heldout: Path) -> dict[str, str]:
    """Suite by sequence of words; nothing where the seed phase of an earlier version wrote none."""
    path = heldout / FILE
    return {row["gram"]: row["suite"] for row in read_table(path, NGRAMS)} if path.exists() else {}


def _archived(root: Path, archive: Path) -> list[tuple[Path, Digest]]:
    """The tables of all shards with the shards' digests, each checked against the record."""
    chain = shards(root, archive.relative_to(root).as_posix())
    return [(root / shard.path / "rows.parquet", shard.digest) for shard in chain if shard.rows]
