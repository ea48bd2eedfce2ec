"""The overview as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.frame import Here
from app.sheet import Figure, Sheet
from app.words import Words
from loopwright.index import Index


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything on the page."""

    sheet: Sheet


def read(index: Index, here: Here) -> View:
    """Ask the record."""
    return view_of(here.words, dict(index.told), index.cycles())


def view_of(words: Words, told: dict, cycles: int) -> View:
    """The page for what the record tells."""
    figures = (
        Figure(label=words("champion"), value=str(told["champion"] or words("none"))),
        Figure(label=words("cycles"), value=words.count(cycles)),
    )
    return View(sheet=Sheet(title=words("title", name=told["name"]), figures=figures))
