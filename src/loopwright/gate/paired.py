"""Two models on the same tasks: what the challenger gained and lost, how likely that is by luck, how sure the size is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loopwright.errors import IntegrityError
from loopwright.types import Score

if TYPE_CHECKING:
    import polars as pl

__all__ = ["INTERVAL", "Paired", "gain_score", "p_value", "pair_up"]

INTERVAL = "Bonett-Price paired 95%"
"""Name of the interval of a paired difference, as it is written into evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Counts over tasks that both models were scored on."""

    n: int
    gained: int
    """Tasks that only the challenger passes."""
    lost: int
    """Tasks that only the champion passes."""

    @property
    def gain(self) -> float:
        """Pass rate of the challenger less that of the champion, -1 to 1."""
        return (self.gained - self.lost) / self.n


def pair_up(table: pl.DataFrame) -> Paired:
    """Count a table with the columns ``task``, ``passed`` and ``champion``; the order of its rows does not matter.

    Raises:
        IntegrityError: no task, a task twice, or a result that is missing: what was not measured is never a score.
    """
    import polars as pl

    passed, champion = table["passed"], table["champion"]
    measured = all(column.dtype == pl.Boolean and not column.null_count() for column in (passed, champion))
    if not measured or not table.height or table["task"].n_unique() != table.height:
        raise IntegrityError(
            "the gate's table must hold each task once, with a result of the challenger and of the champion",
            "run the evaluate phase again",
        )
    return Paired(n=table.height, gained=int((passed & ~champion).sum()), lost=int((~passed & champion).sum()))


def p_value(paired: Paired) -> float:
    """One-sided exact McNemar test: how often luck alone gives the challenger so many of the tasks on which the two differ.

    McNemar, Psychometrika 12 (1947) 153; tasks on which both agree carry no information and do not enter.
    """
    from scipy.stats import binomtest

    differing = paired.gained + paired.lost
    if not differing:
        return 1.0
    return float(binomtest(paired.gained, differing, 0.5, alternative="greater").pvalue)


def gain_score(paired: Paired) -> Score:
    """The paired difference of pass rates with its two-sided 95 % interval.

    Bonett and Price, J. Educ. Behav. Stat. 37 (2012) 479: Wald's interval after one task is added to either kind of
    difference, so that it keeps its coverage for few differences and never shrinks to a point.
    """
    from scipy.stats import norm

    up, down = (paired.gained + 1) / (paired.n + 2), (paired.lost + 1) / (paired.n + 2)
    half = float(norm.ppf(0.975)) * ((up + down - (up - down) ** 2) / (paired.n + 2)) ** 0.5
    centre = up - down
    return Score(value=paired.gain, low=max(-1.0, centre - half), high=min(1.0, centre + half), n=paired.n, method=INTERVAL)
