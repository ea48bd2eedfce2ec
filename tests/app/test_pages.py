"""Every page in every state of a loop, in Streamlit's own harness."""

from __future__ import annotations

import pytest

from app.contents import PAGES

STATES = ("none", "fresh", "one", "rest", "running", "failed", "hostile")


@pytest.mark.parametrize("state", STATES)
def test_every_page_is_drawn_in_every_state(state: str, loops, opened, text) -> None:
    for page in PAGES:
        drawn = opened(loops(state), page.name)
        assert not drawn.exception, (page.name, drawn.exception)
        assert drawn.title, page.name
        if state == "none":
            assert "There is no record here yet." in text(drawn)
            assert "loopwright init lab" in text(drawn)
