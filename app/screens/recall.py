"""Page "Recall": what would be reached, before anybody signs it. Nothing is recalled from here."""

from __future__ import annotations

import streamlit as st

from app import draw
from app.address import asked, go, one_of, typed
from app.frame import Here, link, present
from app.views.recall import KINDS, Asked, View, read
from loopwright.index import Index


def show(here: Here, view: View) -> None:
    """Everything on the page."""
    words = here.words
    draw.quiet(words("intro"))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        one_of("by", words("by"), {name: words(f"by.{name}") for name in KINDS}, back="what", width=210)
        typed("what", words("what"), width=280, placeholder=words("what_hint"))
        typed("why", words("why"), width=300, placeholder=words("why_hint"))
    if view.ask_long:
        st.button(words("ask", n=words.count(view.ask_long)), on_click=go, kwargs={"long": "1"})
    for notice in view.sheet.notices:
        draw.notice(words, notice)
    draw.figures(view.sheet.figures)
    if view.command:
        st.header(draw.plain(words("command")), anchor=False)
        st.code(view.command, language=None, wrap_lines=True)
        draw.quiet(words("command_note"))
    for table in view.sheet.tables:
        if table.name == "reached":
            chosen = draw.table(words, table, select="single-row")
            if chosen and chosen[0] < len(view.go):
                link(here, "lineage", words("open", name=view.go[chosen[0]]), node=view.go[chosen[0]], up="2")
        else:
            draw.table(words, table)


def _read(index: Index, here: Here) -> View:
    return read(index, here, Asked(by=asked("by", KINDS), what=asked("what"), why=asked("why"), long=asked("long") == "1"))


present("recall", _read, show)
