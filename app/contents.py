"""The table of contents: every page with its section and who may see it. A page is here once its file in ``screens/`` exists (not `pages`: Streamlit runs what lies there by itself)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.visitor import ROLES

__all__ = ["EVERYBODY", "PAGES", "SECTIONS", "Entry", "entry"]

EVERYBODY = ROLES
SECTIONS = ("loop", "decide", "answer", "app")
"""In this order; their titles are ``section.<name>`` in ``words/common.yaml``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One page."""

    name: str
    """Of its files (``screens/``, ``views/``, ``words/``) and its address."""
    section: str
    needs: Sequence[str] = EVERYBODY
    """Roles, of which one is enough."""
    confidential: bool = False
    """It shows prompts, rows or persons: every view is an entry of the access log."""


PAGES = (
    Entry(name="overview", section="loop"),
    Entry(name="cycles", section="loop"),
    Entry(name="cycle", section="loop"),
    Entry(name="data", section="loop", needs=("engineer", "manager", "compliance"), confidential=True),
    Entry(name="alerts", section="loop"),
    Entry(name="decisions", section="decide", needs=("engineer", "manager", "compliance"), confidential=True),
    Entry(name="controls", section="decide", needs=("engineer", "manager", "compliance")),
    Entry(name="recall", section="decide", needs=("engineer", "manager", "compliance")),
    Entry(name="builder", section="answer"),
    Entry(name="lineage", section="answer"),
    Entry(name="audit", section="answer"),
    Entry(name="reports", section="answer", needs=("engineer", "manager", "compliance"), confidential=True),
    Entry(name="settings", section="app", confidential=True),
)
"""In the order of the navigation; the first one is where a visitor arrives."""


def entry(name: str) -> Entry:
    """The page of this name; KeyError where there is none."""
    return {one.name: one for one in PAGES}[name]
