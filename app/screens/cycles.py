"""Page "Cycles": every cycle, filtered, sorted and paged in SQL; two to four of them beside each other, and what changed between them."""

from __future__ import annotations

import streamlit as st

from app import draw
from app.address import asked, asked_all, go, number, one_of, pages, several_of, switch, typed
from app.frame import Here, follow, link, present, where
from app.listing import Sorting, listing
from app.views.cycles import COLUMNS, DECISIONS, DEFAULT, HEADS, MOST, SORTED, Asked, View, read
from loopwright.index import Filter, Index

ORDERS = ("down", "up")
MORE = ("lights", "since", "until", "failed")


def show(here: Here, view: View) -> None:
    """Everything on the page."""
    for notice in view.sheet.notices:
        draw.notice(here.words, notice)
    if not view.all:
        return
    _filters(here)
    table, *compared = view.sheet.tables
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.text(here.words("match", n=here.words.count(view.total), of=here.words.count(view.all)), width="content")
        _sorting(here)
    key = f"cycles-{number('page', 1, view.pages)}-{view.total}"
    chosen, followed = listing(
        here.words, table, view.names, _sorted(), key=key, address=lambda name: where(here, "cycle", cycle=name), most=MOST
    )
    if followed:
        follow(here, "cycle", cycle=followed)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        pages("page", view.pages)
        _chosen(here, chosen)
    if view.missing:
        st.text(here.words("missing", names=", ".join(view.missing)))
    for one in compared:
        draw.table(here.words, one)
    if compared:
        st.button(here.words("compare_end"), on_click=go, kwargs={"compare": None})


def _filters(here: Here) -> None:
    words = here.words
    with st.container(horizontal=True, vertical_alignment="bottom"):
        typed("q", words("search"), back="page", width=260, placeholder=words("search_hint"))
        several_of(
            "decision", words("decision"), {code: words(f"decision.{code}") for code in DECISIONS}, back="page", width="content"
        )
        used = sum(bool(asked(key)) for key in MORE)
        with st.popover(words("more_used", n=words.count(used)) if used else words("more")):  # drawn where it is opened
            lights = {"": words("lights.any"), "warn": words("lights.warn"), "stop": words("lights.stop")}
            one_of("lights", words("lights"), lights, back="page")
            typed("since", words("since"), back="page", placeholder=words("date_hint"))
            typed("until", words("until"), back="page", placeholder=words("date_hint"))
            switch("failed", words("only_failed"), back="page")


def _sorting(here: Here) -> None:
    words = here.words
    with st.container(horizontal=True, vertical_alignment="bottom", width="content"):
        one_of(
            "sort",
            words("sort"),
            {name: words(f"sort.{name}") for name in SORTED},
            back="page",
            width=190,
            label_visibility="collapsed",
        )
        one_of(
            "order",
            words("order"),
            {name: words(f"order.{name}") for name in ORDERS},
            back="page",
            width=160,
            label_visibility="collapsed",
        )
        with st.popover(words("columns")):
            several_of(
                "cols", words("columns"), {name: words(f"column.{name}") for name in COLUMNS}, default=DEFAULT, wide=True
            )


def _sorted() -> Sorting:
    by, down = asked("sort", SORTED), asked("order", ORDERS) == "down"

    def ask(code: str) -> None:
        turned = down if code == by else False  # the same head again: the other way round
        go(sort=None if code == SORTED[0] else code, order="up" if turned else None, page=None)

    return Sorting(by=by, down=down, codes=HEADS, ask=ask)


def _chosen(here: Here, chosen: list[str]) -> None:
    with st.container(horizontal=True, vertical_alignment="center", width="content"):
        if not chosen:
            draw.quiet(here.words("select_hint"))
        for name in chosen:
            link(here, "cycle", here.words("open", cycle=name), cycle=name)
        if len(chosen) > 1:
            st.button(
                here.words("compare", n=len(chosen)),
                on_click=go,
                kwargs={"compare": sorted(chosen)},
                type="primary",
            )


def _asked() -> Asked:
    where = Filter(
        decisions=asked_all("decision", DECISIONS), text=asked("q"), since=asked("since"), until=asked("until"),
        lights=asked("lights", ("", "warn", "stop")), failed=asked("failed") == "1",
    )  # fmt: skip
    return Asked(
        where=where, sort=asked("sort", SORTED), descending=asked("order", ORDERS) == "down", page=number("page", 1, 10**6),
        columns=asked_all("cols", list(COLUMNS), DEFAULT), compare=st.query_params.get_all("compare")[:MOST],
    )  # fmt: skip


def _read(index: Index, here: Here) -> View:
    return read(index, here, _asked())


present("cycles", _read, show)
