"""Page "Who checks the builder": the independence table of a cycle, what maker and checker share in red."""

from __future__ import annotations

import streamlit as st

from app import draw
from app.address import asked, typed
from app.frame import Here, link, present
from app.views.builder import View, read
from loopwright.index import Index


def show(here: Here, view: View) -> None:
    """Everything on the page."""
    with st.container(horizontal=True, vertical_alignment="center"):
        typed("cycle", here.words("cycle"), width=140, placeholder=view.cycle, label_visibility="collapsed")
        for name, arrow in ((view.before, "← {}"), (view.after, "{} →")):
            if name:
                link(here, "builder", arrow.format(name), cycle=name)
    for notice in view.sheet.notices:
        draw.notice(here.words, notice)
    if view.answer:
        st.text(view.answer)
    draw.figures(view.sheet.figures)
    for table in view.sheet.tables:
        draw.table(here.words, table)


def _read(index: Index, here: Here) -> View:
    return read(index, here, asked("cycle"))


present("builder", _read, show)
