"""The archive: all accepted rows so far, as a chain of shards. Nothing is copied; a cycle adds one link.

A link is the file ``archive.json`` of a cycle's ``archive/``: where its own shard is and what it must be (digest), and
where the link before it is and what that must be. So the digest of the last link fixes every row of every cycle.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from loopwright.errors import IntegrityError
from loopwright.store.artifacts import check, recorded
from loopwright.store.statcache import StatCache
from loopwright.types import Artifact, Digest, canonical

__all__ = ["FILE", "Link", "Shard", "describe", "read_link", "shards", "write_link"]

FILE = "archive.json"
"""Name of a link within a cycle's archive directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """The accepted rows of one cycle."""

    path: str
    """Relative to the workspace, for example ``cycles/c0003/accepted``."""
    digest: Digest
    rows: int
    human: int
    """How many of the rows are human data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One ``archive.json``."""

    cycle: str
    previous: Artifact | None
    """The archive of the cycle before; None in the first."""
    shard: Shard
    rows: int
    """Rows of this shard and all before it."""
    human: int
    """Human rows among them; the others are synthetic."""
    recipe: str | None
    """``accepted`` where this cycle brought an accepted recipe."""


def describe(
    root: Path, cycle: str, previous: str | None, shard: str, rows: int, human: int, recipe: str | None = None
) -> Link:
    """The link that ``cycle`` adds: ``shard`` (a path; ``rows`` rows, ``human`` of them human) after ``previous`` (a path).

    Digests are taken from the manifests of both; IntegrityError where one is missing or damaged.
    """
    before = read_link(root, previous) if previous else None
    return Link(
        cycle=cycle,
        previous=recorded(root, previous) if previous else None,
        shard=Shard(path=shard, digest=recorded(root, shard).digest, rows=rows, human=human),
        rows=rows + (before.rows if before else 0),
        human=human + (before.human if before else 0),
        recipe=recipe,
    )


def write_link(directory: Path, link: Link) -> None:
    """Write ``archive.json`` into ``directory``, in canonical JSON."""
    previous = {"digest": link.previous.digest, "path": link.previous.path} if link.previous else None
    shard = {"digest": link.shard.digest, "human": link.shard.human, "path": link.shard.path, "rows": link.shard.rows}
    totals = {"human": link.human, "rows": link.rows, "synthetic": link.rows - link.human}
    value = {"schema": 1, "cycle": link.cycle, "previous": previous, "shard": shard, "totals": totals, "recipe": link.recipe}
    (directory / FILE).write_bytes(canonical(value))


def read_link(root: Path, archive: str) -> Link:
    """The link in the archive at ``archive`` (relative to the workspace), its form checked and nothing else."""
    file = root / archive / FILE
    try:
        return _link(json.loads(file.read_bytes()))
    except FileNotFoundError as error:
        raise IntegrityError(f"{archive}/{FILE} is missing", f"dvc pull {archive}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise IntegrityError(f"{archive}/{FILE} is not a link of an archive", f"dvc checkout --force {archive}") from error


def _link(value: Mapping[str, Any]) -> Link:
    shard, totals, previous = value["shard"], value["totals"], value["previous"]
    if value["schema"] != 1 or totals["rows"] - totals["human"] != totals["synthetic"]:
        raise ValueError("unknown schema, or totals that do not add up")
    for path in (shard["path"], *([previous["path"]] if previous else [])):
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise ValueError(f"{path} is not in the workspace")
    return Link(
        cycle=value["cycle"],
        previous=Artifact(kind="archive", digest=previous["digest"], path=previous["path"]) if previous else None,
        shard=Shard(path=shard["path"], digest=shard["digest"], rows=shard["rows"], human=shard["human"]),
        rows=totals["rows"],
        human=totals["human"],
        recipe=value["recipe"],
    )


def shards(root: Path, archive: str) -> list[Shard]:
    """All shards of the archive at ``archive``, oldest first, each link and each shard checked against its digest.

    Files that have not changed since they were hashed are not read again. Raises IntegrityError that names what is
    missing or differs, and what to run.
    """
    cache, found = StatCache(root), list[Shard]()
    here: Artifact | None = recorded(root, archive)
    expected: tuple[int, int] | None = None
    while here is not None:
        check(root, here, cache)
        link = read_link(root, here.path)
        if expected not in (None, (link.rows, link.human)):
            raise IntegrityError(f"{here.path}/{FILE} counts other rows than the link after it", "loopwright verify")
        check(root, Artifact(kind="accepted", digest=link.shard.digest, path=link.shard.path), cache)
        found.append(link.shard)
        here, expected = link.previous, (link.rows - link.shard.rows, link.human - link.shard.human)
    return found[::-1]
