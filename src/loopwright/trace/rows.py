"""Every accepted row of a workspace as columns, from an index that reads each shard once.

The index (``.loopwright/trace/``) holds, of each row, what leads on from it: id, task, level, origin, licence, prompt digest,
verifier, and the number of its shard. It knows shards by their digests, may be deleted at any time, and is worth what it was
checked against: a shard enters only if its table has the digest that its manifest names, and the manifest the recorded one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from loopwright.errors import IntegrityError
from loopwright.ledger.fold import LoopState
from loopwright.store.artifacts import manifest_of, read_manifest
from loopwright.store.files import write_atomic
from loopwright.store.tables import part_names
from loopwright.types import Artifact, Digest, canonical

__all__ = ["COLUMNS", "RowIndex", "checked_table", "open_rows"]

COLUMNS = ("id", "task", "level", "origin", "licence", "prompt_digest", "verifier")
"""What is kept of a row, besides its shard; texts stay in the shards."""

_TABLE = "rows.parquet"
_CATALOG = "shards.json"
_SEGMENTS = 16
"""Files of the index, at most: then they become one."""
_SCHEMA = pl.Schema({name: pl.Int32() if name == "level" else pl.String() for name in COLUMNS} | {"shard": pl.UInt32()})

_Catalog = list[tuple[Digest, int, str]]
"""By number: a shard's digest, its rows, and the file that holds them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowIndex:
    """The index of one workspace, up to date with its record."""

    folder: Path
    catalog: _Catalog
    recorded: Mapping[Digest, Artifact]
    """Where each shard was recorded."""
    absent: tuple[str, ...]
    """Shards that are recorded and not on this disk, so that their rows cannot be found."""
    read: int
    """Shards that this call had to read."""

    def where(self, condition: pl.Expr) -> pl.DataFrame:
        """The rows of recorded shards that meet a condition, with ``path`` and ``digest`` of their shard."""
        files = sorted({self.folder / file for _, _, file in self.catalog})
        rows = pl.scan_parquet(files) if files else pl.LazyFrame(schema=_SCHEMA)
        return rows.filter(condition).join(self._names().lazy(), on="shard", how="inner", maintain_order="left").collect()

    def within(self, digests: Iterable[Digest]) -> pl.Expr:
        """The condition that a row is in one of these shards."""
        wanted = set(digests)
        numbers = [number for number, (digest, _, _) in enumerate(self.catalog) if digest in wanted]
        return pl.col("shard").is_in(pl.Series(numbers, dtype=pl.UInt32).implode())

    def count(self, digests: Iterable[Digest]) -> int:
        """Rows in these shards, without looking at them."""
        wanted = set(digests)
        return sum(rows for digest, rows, _ in self.catalog if digest in wanted)

    def _names(self) -> pl.DataFrame:
        found = [
            (number, self.recorded[one].path, one) for number, (one, _, _) in enumerate(self.catalog) if one in self.recorded
        ]
        return pl.DataFrame(found, schema={"shard": pl.UInt32, "path": pl.String, "digest": pl.String}, orient="row")


def open_rows(root: Path, state: LoopState) -> RowIndex:
    """The index, after reading the shards that it does not know yet.

    Raises:
        IntegrityError: a shard's table is not the recorded one.
    """
    folder = root / ".loopwright" / "trace"
    recorded = {item.digest: item for cycle in state.cycles.values() if (item := cycle.artifact("accepted"))}
    catalog = _read(folder)
    known = {digest for digest, _, _ in catalog}
    missing = [item for digest, item in recorded.items() if digest not in known]
    here = [item for item in missing if (root / item.path / _TABLE).exists()]
    if here:
        catalog = _extended(folder, root, catalog, here)
    absent = tuple(item.path for item in missing if item not in here)
    return RowIndex(folder=folder, catalog=catalog, recorded=recorded, absent=absent, read=len(here))


def checked_table(root: Path, shard: Artifact, name: str = _TABLE) -> list[Path]:
    """The files of a table of an artifact, of a shard its rows, after their bytes were compared with the record."""
    manifest = read_manifest(manifest_of(root / shard.path))
    recorded = {file.path: file.sha256 for file in manifest.files}
    names = part_names(name, recorded)
    for one in names:
        file = root / shard.path / one
        known = one in recorded and manifest.digest == shard.digest
        if not known or hashlib.sha256(file.read_bytes()).hexdigest() != recorded[one]:
            raise IntegrityError(f"{shard.path}/{one} differs from the record", f"dvc checkout --force {shard.path}")
    return [root / shard.path / one for one in names]


def _read(folder: Path) -> _Catalog:
    """What the index knows; nothing where it is damaged or a file of it is gone, so that it is made again."""
    try:
        found = [(digest, rows, file) for digest, rows, file in json.loads((folder / _CATALOG).read_bytes())["shards"]]
        whole = all(pl.read_parquet_schema(folder / file) == _SCHEMA for file in {file for _, _, file in found})
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
        return []
    return found if whole else []


def _extended(folder: Path, root: Path, catalog: _Catalog, new: Sequence[Artifact]) -> _Catalog:
    """Read shards, append them as one file under the next numbers, and make one file of too many."""
    numbers = {str(path): len(catalog) + place for place, shard in enumerate(new) for path in checked_table(root, shard)}
    shard = pl.col("file").replace_strict(numbers, return_dtype=pl.UInt32)
    read = pl.scan_parquet(list(numbers), include_file_paths="file", glob=False)
    rows = read.with_columns(shard=shard).select(list(_SCHEMA)).collect()
    counts = dict(rows.group_by("shard").len().iter_rows())
    file = _segment(folder, rows)
    catalog = [*catalog, *((item.digest, counts.get(number, 0), file) for number, item in enumerate(new, len(catalog)))]
    files = {file for _, _, file in catalog}
    if len(files) > _SEGMENTS:
        whole = _segment(folder, pl.read_parquet([folder / one for one in sorted(files)]))
        catalog = [(digest, rows, whole) for digest, rows, _ in catalog]
    write_atomic(folder / _CATALOG, canonical({"schema": 1, "shards": [list(entry) for entry in catalog]}))
    for old in set(folder.glob("rows-*.parquet")) - {folder / file for _, _, file in catalog}:
        old.unlink(missing_ok=True)
    return catalog


def _segment(folder: Path, rows: pl.DataFrame) -> str:
    """Write a file under the digest of its shards' numbers and rows, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / ".draft.parquet"
    rows.write_parquet(draft, compression="zstd", compression_level=1)
    name = f"rows-{hashlib.sha256(draft.read_bytes()).hexdigest()[:16]}.parquet"
    draft.replace(folder / name)
    return name
