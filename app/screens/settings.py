"""Page "Settings": people, roles, the policy as it stands, and how this app is set up. It changes nothing: the record does."""

from __future__ import annotations

from app import draw
from app.address import asked, tab
from app.frame import Here, present
from app.views.settings import TABS, View, read
from loopwright.index import Index


def show(here: Here, view: View) -> None:
    """Everything on the page."""
    tab("tab", here.words("tabs"), {name: here.words(f"tab.{name}") for name in TABS})
    draw.sheet(here, view.sheet)


def _read(index: Index, here: Here) -> View:
    return read(index, here, asked("tab", TABS))


present("settings", _read, show)
