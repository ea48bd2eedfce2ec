"""What later models are measured on and never trained on: human rows that were kept apart, and a panel of prompts.

Every model of the loop answers the same panel, so that what differs between two of them is the models and not the curriculum.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice

from loopwright.plugins import PhaseContext
from loopwright.store.tables import write_table
from loopwright.types import Task, seed_of

__all__ = ["HUMAN", "PANEL", "freeze"]

HUMAN = {"prompt": "string", "answer": "string", "level": "int32"}
"""``suites/human.parquet``: right answers, in an order in which every beginning is a fair sample."""
PANEL = {"prompt": "string", "level": "int32"}
"""``suites/panel.parquet``: prompts alone; nobody judges what is answered to them."""

_KEPT = 1024
"""Rows and prompts at most; the plan says how many of them are used."""


def freeze(context: PhaseContext, held: Collection[str], trained: Collection[str]) -> dict[str, int]:
    """Write both tables below ``suites``; returns how many rows each has.

    Args:
        context: The seed phase's.
        held: Signatures of the suites.
        trained: Prompts of the human rows that are trained on; what is frozen has none of them.
    """
    offered = context.domain.human(seed_of(context.seed, "frozen"), frozenset(held))
    fresh = [(task, answer) for task, answer in offered if task.prompt not in set(trained)]
    fresh.sort(key=lambda row: seed_of("frozen", row[0].prompt))
    rows = [{"prompt": task.prompt, "answer": answer, "level": task.level} for task, answer in islice(fresh, _KEPT)]
    prompts = [{"prompt": task.prompt, "level": task.level} for task in _panel(context, frozenset(held))]
    suites = context.output / "suites"
    write_table(suites / "human.parquet", HUMAN, rows)
    write_table(suites / "panel.parquet", PANEL, prompts)
    return {"frozen_rows": len(rows), "panel_prompts": len(prompts)}


def _panel(context: PhaseContext, held: frozenset[str]) -> Sequence[Task]:
    """As many tasks as the domain has, up to the most; a small domain gives a small panel."""
    count = _KEPT
    while count:
        try:
            return context.domain.tasks(seed_of(context.seed, "panel"), count, {}, held)
        except ValueError:
            count //= 2
    return ()
