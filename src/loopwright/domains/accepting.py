"""By which checks answers are accepted: visible and hidden ones, and what happens where a domain has no hidden ones."""

from __future__ import annotations

from collections.abc import Iterable

from loopwright.errors import PhaseError, PlanError
from loopwright.types import Task

__all__ = ["PURPOSES", "purposes_of"]

PURPOSES = ("visible", "hidden")
"""In the order in which they are looked at."""


def purposes_of(tasks: Iterable[Task], *, unsafe_no_hidden_tests: bool) -> tuple[str, ...]:
    """The purposes that every one of these tasks has checks for; both where there is no task.

    Raises:
        PlanError: one has no hidden check, and the plan does not say that this is meant.
        PhaseError: there is no purpose for which all have a check.
    """
    asked = {id(task): task for task in tasks}.values()  # many answers to few tasks
    found = tuple(purpose for purpose in PURPOSES if all(task.checks.get(purpose) for task in asked))
    if "hidden" not in found and not unsafe_no_hidden_tests:
        raise PlanError(
            "the domain has tasks without a hidden check: an answer that knows the visible ones by heart would be accepted",
            "give its tasks hidden checks; or set verifier.unsafe_no_hidden_tests in loop.yaml, and every report says so",
        )
    if not found:
        raise PhaseError("the domain's tasks have no check by which an answer could be accepted", "report it to its authors")
    return found
