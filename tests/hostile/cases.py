"""What a hostile candidate is, as data: a source that must not pass, and must not leave a trace on the machine.

Every case defines ``f``, is called like a candidate that should return ``[v*37+11 for v in x]``, and does not. ``@NAME@``
stands for a canary of `tests.hostile.canaries`. Whatever a case manages to take, it returns; whatever it manages to reach
it calls ``REACHED`` in what it returns: both are looked for in the outcome. The cases are in `forging` (a verdict that is
not deserved), `reaching` (files, network, other processes, the kernel) and `exhausting` (time, memory, processes, disk).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from loopwright.types import Check

__all__ = ["CHECK", "GOOD", "LEVELS", "SCRIPT", "WRONG", "Case", "cases"]

LEVELS = ("SL0", "SL1", "SL2", "SL3", "SL4")
CHECK = Check(inputs=([1, 2], [3], [], [-5, 8, 13]), outputs=([48, 85], [122], [], [-174, 307, 492]))
SCRIPT = """
def check(candidate):
    assert candidate([1, 2]) == [48, 85]
    assert candidate([3]) == [122]
    assert candidate([]) == []
    assert candidate([-5, 8, 13]) == [-174, 307, 492]
check(candidate)
"""
"""The same as an assert script."""
GOOD = "def f(x):\n    return [v*37+11 for v in x]\n"
WRONG = "def f(x):\n    return [v*37+11 for v in x][:3]+x[3:]+([0] if len(x) > 2 else [])\n"
"""Right for all inputs but the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One attack."""

    name: str
    threat: str
    """Its row in the threat table (docs/threat-model.md), for example ``T09``."""
    source: str
    lasts: bool = False
    """It ends by its time limit."""
    least: str = "SL1"
    """Below this level it is not run: it would harm whoever runs the tests."""


@cache
def cases() -> Sequence[Case]:
    """The whole set, names unique."""
    modules = ("forging", "reaching", "exhausting")
    found = tuple(case for module in modules for case in import_module(f"tests.hostile.{module}").CASES)
    assert len({case.name for case in found}) == len(found)
    return found
