"""Page "Audit log": every entry of the record, searched and filtered, one of them whole; beside it who looked."""

from __future__ import annotations

import streamlit as st

from app import draw
from app.address import asked, go, number, one_of, pages, several_of, tab, typed
from app.frame import Here, link, present
from app.views.audit import ACTIONS, TABS, Asked, Detail, View, lines_of, read
from loopwright.index import Index
from loopwright.ledger.access import saw


def show(here: Here, view: View) -> None:
    """Everything on the page."""
    words = here.words
    chosen = tab("tab", words("tabs"), {name: words(f"tab.{name}") for name in TABS}, back="page")
    if view.forbidden:
        st.text(words("forbidden"))
        return
    kinds = (
        {name: f"{words.named('kind', name)} ({words.count(count)})" for name, count in view.kinds.items()}
        if chosen == "record"
        else {name: words(f"action.{name}") for name in ACTIONS}
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        typed("q", words("search"), back="page", width=200, placeholder=words("search_hint"))
        several_of("kind", words("column.kind"), kinds, back="page", wide=True, width=240, placeholder=words("anything"))
        one_of("who", words("who"), {"": words("anybody"), **view.people}, back="page", width=220)
        if chosen == "record":
            typed("cycle", words("cycle"), back="page", width=110, placeholder="c0003")
    if view.gone is not None:
        st.text(words("no_entry", n=words.count(view.gone)))
    if view.detail is not None:
        _detail(here, view.detail)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.text(words("match", n=words.count(view.total)), width="content")
        if chosen == "record" and view.total:
            _all(here)
    rows = draw.table(
        words,
        view.sheet.tables[0],
        select="single-row" if chosen == "record" else None,
        key=f"{chosen}-{number('page', 1, view.pages)}-{view.total}",
    )
    pages("page", view.pages)
    if rows and rows[0] < len(view.entries) and view.entries[rows[0]] != _number("entry"):
        st.button(
            words("open", n=words.count(view.entries[rows[0]])),
            on_click=go,
            kwargs={"entry": str(view.entries[rows[0]])},
            type="primary",
        )


def _detail(here: Here, told: Detail) -> None:
    words = here.words
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.header(draw.plain(words("entry", n=words.count(told.entry))), anchor=False, width="content")
            with st.container(horizontal=True, width="content", vertical_alignment="center"):
                if told.cycle:
                    link(here, "cycle", words("open_cycle", cycle=told.cycle), cycle=told.cycle)
                st.button(words("close"), on_click=go, kwargs={"entry": None}, type="tertiary")
        draw.figures(told.figures)
        st.text(words("statement"))
        st.code(told.statement, language=None, wrap_lines=True, height=320)
        with st.expander(words("envelope")):
            st.code(told.stored, language=None, wrap_lines=True)


def _all(here: Here) -> None:
    """Everything that the filter lets through, in one file; the Export menu takes this page."""
    what = _asked()

    def taken() -> bytes:
        saw(here.root, "export", "audit log", by=here.visitor.key)
        return b"".join(lines_of(here.root, what))

    st.download_button(
        here.words("take_all"),
        data=taken,
        file_name=f"{here.root.name}-audit.jsonl",
        mime="application/jsonl",
        on_click="ignore",
        type="tertiary",
    )


def _number(key: str) -> int | None:
    told = asked(key)
    return int(told) if told.isascii() and told.isdecimal() and len(told) < 10 else None


def _asked() -> Asked:
    kinds = [kind for kind in st.query_params.get_all("kind") if kind.replace("-", "").isalnum()][:50]
    return Asked(
        tab=asked("tab", TABS), text=asked("q"), kinds=kinds, who=asked("who"), cycle=asked("cycle"), page=number("page", 1, 10**6),
        entry=_number("entry"),
    )  # fmt: skip


def _read(index: Index, here: Here) -> View:
    what = _asked()
    view = read(index, here, what)
    if what.tab == "access" and not view.forbidden:
        _once(here, "access log")
    return view


def _once(here: Here, subject: str) -> None:
    """One entry of the access log a session: the script runs again at every click."""
    seen = st.session_state.setdefault("shown", set())
    if (here.root, subject) not in seen:
        seen.add((here.root, subject))
        saw(here.root, "show", subject, by=here.visitor.key)


present("audit", _read, show)
