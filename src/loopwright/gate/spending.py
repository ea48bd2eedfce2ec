"""The loop's error budget: how much chance of a wrong promotion each look at the gate suite may use up.

Look k may use alpha / (k (k + 1)). These shares sum to alpha over all looks there will ever be, so that by the union
bound the chance of any wrong promotion in the whole loop is at most alpha, whatever the looks have to do with each other
(Bonferroni-type alpha spending; the idea of a spending function is from Lan and DeMets, Biometrika 70 (1983) 659). No end
of the loop need be known beforehand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loopwright.errors import IntegrityError

__all__ = ["FRESH", "History", "spend"]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What earlier decisions of the loop have used; carried from ``decision.json`` to ``decision.json``."""

    look: int
    """Tests made so far."""
    spent: float
    """Chance of error used so far; at most the plan's alpha."""
    peak: float = 0.0
    """The best share of gate tasks that a promoted model solved."""

    @classmethod
    def of(cls, decision: Mapping[str, Any]) -> History:
        """From the decision before; IntegrityError where it does not say."""
        look, spent = decision.get("look", -1), decision.get("spent", -1.0)
        whole = isinstance(look, int) and not isinstance(look, bool) and look >= 0
        share = isinstance(spent, int | float) and not isinstance(spent, bool) and 0 <= spent < 1
        if not (whole and share):
            raise IntegrityError(
                f"the decision before says look {look!r} and spent {spent!r}: the error budget cannot be carried on",
                "restore it with `git checkout -- cycles/`, then `loopwright verify`",
            )
        return cls(look=look, spent=float(spent), peak=float(decision.get("peak") or 0.0))


FRESH = History(look=0, spent=0.0)
"""A loop that has not tested anything yet."""


def spend(alpha: float, history: History) -> tuple[float, History]:
    """The level of the next look, and the history after it.

    Where a person lowered alpha in the middle of a loop, what was spent before still counts: the level may then be 0.
    """
    look = history.look + 1
    level = min(alpha / (look * (look + 1)), max(0.0, alpha - history.spent))
    return level, History(look=look, spent=history.spent + level, peak=history.peak)
