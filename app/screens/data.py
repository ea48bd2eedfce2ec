"""Page "Data": the rows of a cycle, accepted and refused with reasons, and rows for a second opinion."""

from __future__ import annotations

import streamlit as st

from app import draw
from app.address import asked, number, one_of, pages, tab, typed
from app.exports import csv_of
from app.frame import Here, link, present
from app.opinion import opinion
from app.views.data import TABS, Asked, View, read
from app.views.labelling import agreement, queue_table
from loopwright.index import Index
from loopwright.labelling import MOST, Queue, labels_of
from loopwright.ledger.access import saw


def show(here: Here, view: View) -> None:
    """Everything on the page."""
    words = here.words
    _which(here, view)
    for notice in view.sheet.notices:
        draw.notice(words, notice)
    if not view.cycle:
        return
    chosen = tab("tab", words("tabs"), {name: words(f"tab.{name}") for name in TABS}, back="page")
    if view.queue is not None:
        _labelling(here, view)
    if not view.sheet.tables:
        return
    _filters(here, view, chosen)
    st.text(words("match", n=words.count(view.total)))
    rows = draw.table(
        words,
        view.sheet.tables[0],
        select="single-row",
        key=f"{chosen}-{view.cycle}-{number('page', 1, view.pages)}-{view.total}",
    )
    pages("page", view.pages)
    told = view.rows[rows[0]] if rows and rows[0] < len(view.rows) else view.one
    if told is not None:
        _row(here, view, dict(told))
    elif asked("row"):
        st.text(words("no_row", id=asked("row")))


def _which(here: Here, view: View) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        typed("cycle", here.words("cycle"), width=140, placeholder=view.cycle, label_visibility="collapsed", back="page")
        for name, key in ((view.before, "earlier"), (view.after, "later")):
            if name:
                link(here, "data", here.words.of("cycle")(key, cycle=name), cycle=name, tab=asked("tab", TABS))
        if view.cycle:
            link(here, "cycle", here.words("open_cycle", cycle=view.cycle), cycle=view.cycle, tab="data")
            link(here, "lineage", here.words("lineage"), node=f"{view.cycle}/accepted")


def _filters(here: Here, view: View, chosen: str) -> None:
    words = here.words
    with st.container(horizontal=True, vertical_alignment="bottom"):
        typed("q", words("search"), back="page", width=240, placeholder=words("search_hint"))
        if chosen == "refused":
            names = {
                "": words("any"),
                **{name: f"{words.named('refusal', name)} ({words.count(count)})" for name, count in view.reasons.items()},
            }
            one_of("reason", words("reason"), names, back="page", width=280)
        one_of("level", words("level"), {"": words("any"), **{level: level for level in view.levels}}, back="page", width=120)
        one_of(
            "origin",
            words("origin"),
            {"": words("any"), "human": words("human"), "model": words("model")},
            back="page",
            width=140,
        )


def _row(here: Here, view: View, row: dict) -> None:
    """One row whole, as it was written."""
    words = here.words
    with st.container(border=True):
        st.header(draw.plain(words("row", id=row["id"])), anchor=False)
        if row.get("reason"):
            st.text(": ".join(part for part in (words.named("refusal", row["reason"]), row.get("detail")) if part))
        st.text(words("column.prompt"))
        st.code(row["prompt"] or "", language=None, wrap_lines=True)
        st.text(words("column.answer"))
        st.code(row["answer"] or "", language=None, wrap_lines=True)
        facts = {name: row.get(name) for name in ("task", "origin", "licence", "verifier", "prompt_digest")}
        st.text("\n".join(f"{words(f'fact.{name}')}: {value}" for name, value in facts.items() if value))
        with st.container(horizontal=True):
            link(here, "data", words("keep"), cycle=view.cycle, tab=asked("tab", TABS), row=row["id"])
            if view.made_by and view.one and row["id"] == view.one["id"]:
                link(here, "lineage", words("its_model"), node=view.made_by)
            if not row.get("reason"):
                link(here, "recall", words("if_recalled"), by="rows", what=row["id"])


def _labelling(here: Here, view: View) -> None:
    """Answers given here, a file to fill in, and how far answers agree: those that persons signed, and those that are only looked at here."""
    words, found = here.words, view.queue
    if found is None:
        return
    st.text(words("label_intro", n=words.count(len(found.rows)), most=MOST))
    draw.quiet(words("label_counts", **{name: words.count(count) for name, count in found.counts.items()}))
    opinion(here, found, view.people)
    st.header(draw.plain(words("label_by_file")), anchor=False)
    _file(here, found)
    files = st.file_uploader(
        words("label_back"), type=["csv", "jsonl"], accept_multiple_files=True, key=f"labels-{found.cycle}"
    )
    people = [*view.signed, *(labels_of(file.name, file.getvalue()) for file in files[:8])]
    for one in people:
        if one.problems:
            st.text(words("label_problems", name=one.name))
            st.code("\n".join(one.problems), language=None, wrap_lines=True)
    if people:
        draw.table(words, agreement(words, people, found.verdicts))
    draw.quiet(words("label_note"))
    st.code(f"loopwright label {found.cycle} --give FILE --as NAME", language=None)
    with st.expander(words("queue")):
        draw.table(words, queue_table(words, found))


def _file(here: Here, found: Queue) -> None:
    def taken() -> bytes:
        saw(here.root, "export", f"labelling file of {found.cycle}", by=here.visitor.key)
        return csv_of(queue_table(here.words, found))

    st.download_button(
        here.words("label_take"),
        data=taken,
        file_name=f"{here.root.name}-{found.cycle}-labels.csv",
        mime="text/csv",
        on_click="ignore",
        disabled=not found.rows,
    )


def _asked() -> Asked:
    level = asked("level")
    return Asked(
        cycle=asked("cycle"), tab=asked("tab", TABS), reason=asked("reason"), level=level if level.isascii() and level.isdecimal() and len(level) < 9 else "",
        origin=asked("origin", ("", "human", "model")), text=asked("q"), page=number("page", 1, 10**6), row=asked("row"),
    )  # fmt: skip


def _read(index: Index, here: Here) -> View:
    view = read(index, here, _asked())
    if view.rows or view.queue is not None:
        _once(here, f"{'labelling queue' if view.queue else f'{_asked().tab} rows'} of {view.cycle}")
    return view


def _once(here: Here, subject: str) -> None:
    """One entry of the access log for each table and session: the script runs again at every click."""
    seen = st.session_state.setdefault("shown", set())
    if (here.root, subject) not in seen:
        seen.add((here.root, subject))
        saw(here.root, "show", subject, by=here.visitor.key)


present("data", _read, show)
