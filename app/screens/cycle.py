"""Page "Cycle": one cycle whole: why it was decided so, what its model answers, what it learnt from, what it cost, and the evidence."""

from __future__ import annotations

import subprocess
import sys

import streamlit as st

from app import draw
from app.address import asked, go, number, one_of, pages, tab, typed
from app.frame import Here, link, present
from app.views.cycle import TABS, Asked, View, read
from app.views.samples import CHANGES, ROWS
from loopwright.index import Index
from loopwright.ledger.access import saw


def show(here: Here, view: View) -> None:
    """Everything on the page."""
    _which(here, view)
    for notice in view.sheet.notices:
        draw.notice(here.words, notice)
    if not view.sheet.figures:
        return
    draw.figures(view.sheet.figures, columns=3)
    chosen = tab("tab", here.words("tabs"), {name: here.words(f"tab.{name}") for name in TABS})
    if view.forbidden:
        st.text(here.words("forbidden"))
    if chosen in {"summary", "gate"}:
        for reason in view.reasons:
            st.text(reason)
    if chosen == "samples" and view.samples is not None:
        _samples(here, view)
        return
    for table in view.tables:
        draw.table(here.words, table)
    if view.ask_rows:
        st.button(here.words("data.ask", n=here.words.count(view.ask_rows)), on_click=go, kwargs={"rows": "1"})
    if chosen == "evidence":
        _dossier(here, view)


def _which(here: Here, view: View) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        typed("cycle", here.words("cycle"), width=140, placeholder=view.cycle, label_visibility="collapsed")
        for name, key in ((view.before, "earlier"), (view.after, "later")):
            if name:
                link(here, "cycle", here.words(key, cycle=name), cycle=name, tab=asked("tab", TABS))
        if view.parent:
            link(here, "cycles", here.words("compare_parent", parent=view.parent), compare=[view.parent, view.cycle])


def _samples(here: Here, view: View) -> None:
    words, told = here.words, view.samples
    if told is None or told.why:
        st.text(words("sample.none"))
        if told:
            st.code(told.why, language=None, wrap_lines=True)
            st.code(told.command, language=None, wrap_lines=True)
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = {"": words("change.all")} | {
            name: f"{words(f'change.{name}')} ({words.count(told.counts.get(name, 0))})" for name in CHANGES
        }
        one_of("change", words("sample.change"), names, back="page", width=240)
        one_of(
            "level",
            words("sample.level"),
            {"": words("level.all"), **{level: level for level in view.levels}},
            back="page",
            width=160,
        )
    rows = draw.table(words, view.tables[0], select="single-row", key=f"samples-{view.cycle}-{told.total}")
    pages("page", -(-told.total // ROWS))
    if rows and rows[0] < len(told.rows):
        _sample(here, view, told.rows[rows[0]])


def _sample(here: Here, view: View, row: dict) -> None:
    """One task whole: both programs side by side, as they were written."""
    st.header(draw.plain(f"{here.words('sample.task')} {row['task']}"), anchor=False)
    st.code(row["prompt"] or "", language=None, wrap_lines=True)
    ours, theirs = st.columns(2)
    for column, title, answer, status in (
        (ours, view.cycle, row["answer"], row["status"]),
        (theirs, view.parent, row["answer_parent"], row["status_parent"]),
    ):
        with column:
            st.text(f"{title}: {status or here.words('not_measured')}")
            st.code(answer or "", language=None, wrap_lines=True)


def _dossier(here: Here, view: View) -> None:
    words = here.words
    st.header(draw.plain(words("dossier")), anchor=False)
    if view.dossier is None:
        st.text(words("dossier_none"))
    with st.container(horizontal=True):
        if st.button(words("dossier_build")):
            _build(here, view.cycle)
        if view.dossier is not None and view.dossier.is_file():
            file = view.dossier

            def taken() -> bytes:
                saw(here.root, "export", file.name, by=here.visitor.key)
                return file.read_bytes()

            st.download_button(
                words("dossier_take"), data=taken, file_name=file.name, mime="application/pdf", on_click="ignore"
            )


def _build(here: Here, cycle: str) -> None:
    """In a process of its own: typesetting takes seconds, and this one serves everybody."""
    with st.spinner(here.words("dossier_building")):
        command = [
            sys.executable,
            "-m",
            "loopwright",
            "report",
            "build",
            "cycle",
            "--cycle",
            cycle,
            "--workspace",
            str(here.root),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    saw(here.root, "report", f"cycle {cycle}", by=here.visitor.key)
    if done.returncode:
        st.error(draw.plain(here.words("dossier_failed")))
        st.code(done.stderr[-2000:], language=None, wrap_lines=True)
    else:
        st.rerun()


def _asked() -> Asked:
    return Asked(
        cycle=asked("cycle"), tab=asked("tab", TABS), change=asked("change", ("", *CHANGES)), level=asked("level") if asked("level").isdecimal() else "",
        page=number("page", 1, 10**6), rows=asked("rows") == "1",
    )  # fmt: skip


def _read(index: Index, here: Here) -> View:
    view = read(index, here, _asked())
    if view.samples is not None and not view.samples.why:
        saw(here.root, "show", f"samples of {view.cycle}", by=here.visitor.key)
    return view


present("cycle", _read, show)
