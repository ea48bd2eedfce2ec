"""Near-duplicates: what says almost the same as a row of the cycle or of the archive (MinHash; Broder 1997).

Candidates come from locality-sensitive hashing of token 3-grams, and are refused only where the similarity (Jaccard) of the
3-grams themselves is at least the plan's threshold: a refusal is never a matter of chance, a miss may be. A domain's
programs are compared in their normal form, other answers together with their prompts.

Off by default: in the built-in domain most right programs are near one another (82 % of the accepted rows of a default loop
have a neighbour at 0.8), since they are made of the same few statements, and all of them are wanted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from loopwright.plugins import Executable, PhaseContext, offered
from loopwright.sections import VerifySection
from loopwright.verify import normal
from loopwright.verify.scan import read_by
from loopwright.verify.screening import refuse

__all__ = ["NEAR", "refuse_near"]

NEAR = "near duplicate"
_PERMUTATIONS = 128
_EARLIER = 0.8
"""Candidates are asked for from this share of the threshold on: fewer misses, for more comparisons."""
_TOKEN = re.compile(r"\w+|[^\w\s]")
_GRAM = 3

Grams = frozenset[tuple[str, ...]]


def refuse_near(frame: pl.DataFrame, archive: pl.DataFrame, config: VerifySection, context: PhaseContext) -> pl.DataFrame:
    """Refuse rows without a reason that are near an archived row, or near an earlier one that stays.

    ``archive`` has ``id``, ``prompt``, ``answer``. The detail says how near to which row.
    """
    if config.near_duplicate is None:
        return frame
    known = archive.select("id", "prompt", "answer").to_dicts()
    asked = frame.filter(pl.col("reason").is_null()).select("id", "prompt", "answer").to_dicts()
    texts = _texts([*known, *asked], context)
    index = _Index(config.near_duplicate)
    for row in known:
        index.keep(row["id"], _grams(texts[row["prompt"], row["answer"]]))
    found: dict[str, str] = {}
    for row in asked:
        grams = _grams(texts[row["prompt"], row["answer"]])
        if near := index.nearest(grams):
            found[row["id"]] = f"{near[0]:.3f} to {near[1]}"
        else:
            index.keep(row["id"], grams)
    hit = pl.col("reason").is_null() & pl.col("id").is_in(list(found))
    said = pl.col("id").replace_strict(found, default=None, return_dtype=pl.String)
    return refuse(frame.with_columns(detail=pl.when(hit).then(said).otherwise("detail")), hit, NEAR)


def _texts(rows: list[dict[str, Any]], context: PhaseContext) -> Mapping[tuple[str, str], str]:
    pairs = {(row["prompt"], row["answer"]) for row in rows}
    domain = offered(context.domain, Executable)
    if domain is None:
        return {(prompt, answer): f"{prompt}\n{answer}" for prompt, answer in pairs}
    programs = {answer: domain.program(answer) for _, answer in pairs}
    normals = read_by(Path(normal.__file__), programs, context.scratch)
    return {(prompt, answer): normals[answer] or answer for prompt, answer in pairs}


def _grams(text: str) -> Grams:
    tokens = _TOKEN.findall(text)
    return frozenset(tuple(tokens[start : start + _GRAM]) for start in range(max(1, len(tokens) - _GRAM + 1)))


class _Index:
    """Rows that stay, to be asked for neighbours."""

    def __init__(self, threshold: float) -> None:
        from datasketch import MinHashLSH

        self._threshold = threshold
        self._lsh = MinHashLSH(threshold=max(0.05, _EARLIER * threshold), num_perm=_PERMUTATIONS)
        self._grams: dict[str, Grams] = {}

    def keep(self, name: str, grams: Grams) -> None:
        if name not in self._grams:  # the archive may hold an id of an earlier cycle again
            self._lsh.insert(name, self._hash(grams))
            self._grams[name] = grams

    def nearest(self, grams: Grams) -> tuple[float, str] | None:
        """Similarity and name of the nearest row at the threshold or above; of equally near ones the first by name."""
        names = sorted(map(str, self._lsh.query(self._hash(grams))))
        close = [(_jaccard(grams, self._grams[name]), name) for name in names]
        return max((each for each in close if each[0] >= self._threshold), key=lambda each: each[0], default=None)

    @staticmethod
    def _hash(grams: Grams) -> Any:
        from datasketch import MinHash

        made = MinHash(num_perm=_PERMUTATIONS, seed=1)
        made.update_batch(["\0".join(gram).encode("utf-8", "surrogatepass") for gram in sorted(grams)])
        return made


def _jaccard(one: Grams, other: Grams) -> float:
    return len(one & other) / len(one | other)
