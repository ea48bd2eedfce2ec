"""Near-duplicates: what says almost the same as a row of the cycle or of the archive (MinHash; Broder 1997).

Candidates come from locality-sensitive hashing of token 3-grams, and are refused only where the similarity (Jaccard) of the
3-grams themselves is at least the plan's threshold: a refusal is never a matter of chance, a miss may be. A domain's
programs are compared in their normal form, other answers together with their prompts.

Of the archive nothing is held in memory but what is compared: bands of signatures are kept by shard (`loopwright.verify.bands`), and
only the texts of candidates are read again. The cycle's own rows are held.

Off by default: in the built-in domain most right programs are near one another (82 % of the accepted rows of a default loop
have a neighbour at 0.8), since they are made of the same few statements, and all of them are wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from loopwright.identity import code_digest
from loopwright.plugins import Executable, PhaseContext, offered
from loopwright.sections import VerifySection
from loopwright.store.tables import row_groups
from loopwright.types import Digest, canonical
from loopwright.verify import normal
from loopwright.verify.bands import Bands, Grams, grams_of, kept_bands, shared
from loopwright.verify.scan import read_by
from loopwright.verify.screening import refuse

__all__ = ["NEAR", "refuse_near"]

NEAR = "near duplicate"
_EARLIER = 0.8
"""Candidates are asked for from this share of the threshold on: fewer misses, for more comparisons."""
_PIECE = 50_000
"""Rows whose texts are read and cut at once."""
_TEXT = {"id": "string", "prompt": "string", "answer": "string"}

Near = tuple[float, str]
"""How near, and to which row."""


def refuse_near(
    frame: pl.DataFrame, archive: Sequence[tuple[Path, Digest]], config: VerifySection, context: PhaseContext
) -> pl.DataFrame:
    """Refuse rows without a reason that are near an archived row, or near an earlier one that stays.

    ``archive`` has the tables of accepted rows, each with its shard's digest. The detail says how near to which row.
    """
    if config.near_duplicate is None:
        return frame
    asked = frame.filter(pl.col("reason").is_null()).select("id", "prompt", "answer").to_dicts()
    texts = _texts(asked, context)
    grams = [grams_of(texts[row["prompt"], row["answer"]]) for row in asked]
    index = _Index(config.near_duplicate)
    bands = index.bands.of(grams)
    archived = _near_archived(grams, bands, archive, index.threshold, context)
    found: dict[str, str] = {}
    lonely = _lonely(bands)
    for place, row in enumerate(asked):
        near = archived.get(place)
        if not lonely[place]:
            near = _nearer(near, index.nearest(grams[place], bands[place]))
        if near:
            found[row["id"]] = f"{near[0]:.3f} to {near[1]}"
        elif not lonely[place]:
            index.keep(row["id"], grams[place], bands[place])
    hit = pl.col("reason").is_null() & pl.col("id").is_in(list(found))
    said = pl.col("id").replace_strict(found, default=None, return_dtype=pl.String)
    return refuse(frame.with_columns(detail=pl.when(hit).then(said).otherwise("detail")), hit, NEAR)


def _lonely(bands: np.ndarray) -> np.ndarray:
    """Rows that share no band with another: nobody's candidates."""
    alone = np.ones(len(bands), dtype=bool)
    for column in bands.T:
        _, number, count = np.unique(column, return_inverse=True, return_counts=True)
        alone &= count[number] == 1
    return alone


def _near_archived(
    grams: Sequence[Grams], bands: np.ndarray, archive: Sequence[tuple[Path, Digest]], threshold: float, context: PhaseContext
) -> dict[int, Near]:
    """The nearest archived row at the threshold or above, by place; of equally near ones the first by name."""
    made_by = _made_by(threshold, context)
    cutter = Bands(_early(threshold))
    found: dict[int, Near] = {}
    for path, digest in archive:
        cut = _cut(path, cutter, context)
        for start, slice_ in kept_bands(context.root / ".loopwright" / "near", digest, made_by, cut, cutter.count):
            pairs = shared(bands, slice_)
            texts = _candidates(path, sorted({start + other for _, other in pairs}), context)
            for place, other in pairs:
                name, theirs = texts[start + other]
                if (near := _jaccard(grams[place], theirs)) >= threshold:
                    found[place] = _nearer(found.get(place), (near, name)) or (near, name)
    return found


def _nearer(one: Near | None, other: Near | None) -> Near | None:
    """Of two neighbours the nearer, of equally near ones the first by name."""
    return min((each for each in (one, other) if each), key=lambda each: (-each[0], each[1]), default=None)


def _made_by(threshold: float, context: PhaseContext) -> str:
    """What the bands of a text hang on besides the text."""
    import sys

    import datasketch

    code = code_digest(("loopwright.verify",))
    version = f"{datasketch.__version__} {sys.version_info[:2]}"
    return canonical({"code": code, "domain": context.refs["domain"], "early": str(_early(threshold)), "by": version}).decode()


def _early(threshold: float) -> float:
    return max(0.05, _EARLIER * threshold)


def _rows(path: Path) -> Iterator[list[dict[str, Any]]]:
    """Rows of a table, some at a time."""
    for group in row_groups(path, _TEXT):
        for start in range(0, group.num_rows, _PIECE):
            yield group.select(list(_TEXT)).slice(start, _PIECE).to_pylist()


def _cut(path: Path, cutter: Bands, context: PhaseContext) -> Iterator[np.ndarray]:
    """Bands of all rows of a table, some at a time."""
    for rows in _rows(path):
        yield cutter.of(map(grams_of, _in_order(rows, context)))


def _in_order(rows: list[dict[str, Any]], context: PhaseContext) -> list[str]:
    texts = _texts(rows, context)
    return [texts[row["prompt"], row["answer"]] for row in rows]


def _candidates(path: Path, places: Sequence[int], context: PhaseContext) -> dict[int, tuple[str, Grams]]:
    """Id and 3-grams of the rows at these positions, by position."""
    if not places:
        return {}
    lazy = pl.scan_parquet(path).select(list(_TEXT)).with_row_index("place")
    rows = lazy.filter(pl.col("place").is_in(list(places))).collect(engine="streaming").to_dicts()
    texts = _in_order(rows, context)
    return {row["place"]: (row["id"], grams_of(text)) for row, text in zip(rows, texts, strict=True)}


def _texts(rows: list[dict[str, Any]], context: PhaseContext) -> Mapping[tuple[str, str], str]:
    pairs = {(row["prompt"], row["answer"]) for row in rows}
    domain = offered(context.domain, Executable)
    if domain is None:
        return {(prompt, answer): f"{prompt}\n{answer}" for prompt, answer in pairs}
    programs = {answer: domain.program(answer) for _, answer in pairs}
    normals = read_by(Path(normal.__file__), programs, context.scratch)
    return {(prompt, answer): normals[answer] or answer for prompt, answer in pairs}


class _Index:
    """Rows that stay, to be asked for neighbours."""

    def __init__(self, threshold: float) -> None:
        self.threshold, self.bands = threshold, Bands(_early(threshold))
        self._names: dict[int, list[str]] = {}
        self._grams: dict[str, Grams] = {}

    def keep(self, name: str, grams: Grams, bands: np.ndarray | None = None) -> None:
        if name not in self._grams:
            for key in self._keys(grams, bands):
                self._names.setdefault(key, []).append(name)
            self._grams[name] = grams

    def nearest(self, grams: Grams, bands: np.ndarray | None = None) -> Near | None:
        """Similarity and name of the nearest row at the threshold or above; of equally near ones the first by name."""
        names = sorted({name for key in self._keys(grams, bands) for name in self._names.get(key, ())})
        close = [(_jaccard(grams, self._grams[name]), name) for name in names]
        return max((each for each in close if each[0] >= self.threshold), key=lambda each: each[0], default=None)

    def _keys(self, grams: Grams, bands: np.ndarray | None) -> list[int]:
        return (self.bands.of([grams])[0] if bands is None else bands).tolist()


def _jaccard(one: Grams, other: Grams) -> float:
    return len(one & other) / len(one | other)
