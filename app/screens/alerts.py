"""Page "Alerts": what somebody should be called for now, what was over before, and the rules of the plan."""

from __future__ import annotations

from app import draw
from app.frame import Here, present
from app.views.alerts import View, read


def show(here: Here, view: View) -> None:
    """Everything on the page."""
    draw.sheet(here, view.sheet)


present("alerts", read, show)
