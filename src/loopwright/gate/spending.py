"""The loop's error budget: how much chance of a wrong promotion each look at the gate suite may use up.

Look k has alpha / (k (k + 1)) of its own; these shares sum to alpha over all looks there will ever be, so no end of the loop need
be known beforehand (a spending function: Lan and DeMets, Biometrika 70 (1983) 659). A look that promotes passes its level on to
the next; one that does not has used it up. This is the online fallback procedure (Tian and Ramdas, Stat. Methods Med. Res. 30
(2021) 976, arXiv 1910.04900): the chance of any wrong promotion in the whole loop stays at most alpha, because up to the first
wrong one only right ones have passed anything on, and it never has a lower level than spending alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from loopwright.errors import IntegrityError

__all__ = ["FRESH", "History", "spend"]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What earlier decisions of the loop have used; carried from ``decision.json`` to ``decision.json``."""

    look: int
    """Tests made so far."""
    spent: float
    """Chance of error used up so far; at most the plan's alpha."""
    carried: float = 0.0
    """What the look before passes on to the next one, since it promoted."""
    peak: float = 0.0
    """The best share of gate tasks that a promoted model solved."""

    @classmethod
    def of(cls, decision: Mapping[str, Any]) -> History:
        """From the decision before; IntegrityError where it does not say."""
        look, spent, carried = decision.get("look", -1), decision.get("spent", -1.0), decision.get("carried", 0.0)
        whole = isinstance(look, int) and not isinstance(look, bool) and look >= 0
        if not (whole and _share(spent) and _share(carried)):
            raise IntegrityError(
                f"the decision before says look {look!r}, spent {spent!r}, carried {carried!r}: the error budget cannot be carried on",
                "restore it with `git checkout -- cycles/`, then `loopwright verify`",
            )
        return cls(look=look, spent=float(spent), carried=float(carried), peak=float(decision.get("peak") or 0.0))


FRESH = History(look=0, spent=0.0)
"""A loop that has not tested anything yet."""


def spend(alpha: float, history: History) -> tuple[float, History, History]:
    """The level of the next look, the history after it where nothing is promoted, and the history where the challenger is.

    Where a person lowered alpha in the middle of a loop, what was spent before still counts: the level may then be 0.
    """
    look = history.look + 1
    level = min(alpha / (look * (look + 1)) + history.carried, max(0.0, alpha - history.spent))
    used = History(look=look, spent=history.spent + level, peak=history.peak)
    return level, used, replace(used, spent=history.spent, carried=level)


def _share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1
