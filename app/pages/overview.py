"""Page "Overview": where the loop is, whether it gets better, whether it is safe to go on, what waits for a person, what it costs."""

from __future__ import annotations

from app import draw
from app.frame import Here, present
from app.views.overview import View, read


def show(here: Here, view: View) -> None:
    """Everything on the page."""
    draw.sheet(here, view.sheet)


present("overview", read, show)
