"""Page "Lineage": one thing, what it was made from and what was made from it; a click goes on."""

from __future__ import annotations

from functools import partial

import streamlit as st

from app import draw
from app.address import asked, go, one_of, typed
from app.frame import Here, link, present
from app.graph import draw_graph
from app.palette import palette
from app.views.lineage import FARTHEST, Asked, View, read
from loopwright.index import Index
from loopwright.ledger.access import saw
from loopwright.report.drawing import svg


def show(here: Here, view: View) -> None:
    """Everything on the page."""
    _which(here, view)
    for notice in view.sheet.notices:
        draw.notice(here.words, notice)
    if not view.boxes:
        return
    key = f"near-{view.label}"
    chosen = _selected(key, view)
    draw_graph(
        view.boxes, view.arrows, words=view.words, dark=draw.dark(), ways=view.ways, way=view.ways.get(chosen, ()), go=view.go,
        on_go=lambda node: go(node=node), key="graph",
    )  # fmt: skip
    _legend(here, view)
    draw.figures(view.sheet.figures)
    near, stands = view.sheet.tables
    draw.table(here.words, near, select="single-row", key=key)
    if chosen:
        st.text(here.words("way", way=" → ".join(view.labels[name] for name in view.ways[chosen])))
        link(here, "lineage", here.words("go_on", name=view.labels[chosen]), node=view.go[chosen])
    draw.table(here.words, stands)


def _which(here: Here, view: View) -> None:
    words = here.words
    with st.container(horizontal=True, vertical_alignment="bottom"):
        typed("node", words("what"), width=260, placeholder=view.label or words("what_hint"))
        for key in ("up", "down"):
            one_of(key, words(key), {str(far): str(far) for far in range(FARTHEST + 1)}, default="1", width=130)
        if view.cycle:
            link(here, "cycle", words("open_cycle", cycle=view.cycle), cycle=view.cycle)
        if view.boxes and view.kind != "phase":
            link(here, "recall", words("if_recalled"), what=view.label)
        if view.kind == "accepted":
            link(here, "data", words("its_rows"), cycle=view.cycle)


def _legend(here: Here, view: View) -> None:
    words = here.words
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        draw.quiet(words("legend"))
        colours = palette("light")  # a file that is taken away is read on paper
        picture = partial(svg, view.boxes, view.arrows, colours, title=view.sheet.title, words=view.words)

        def taken() -> bytes:
            saw(here.root, "export", f"lineage of {view.label}", by=here.visitor.key)
            return picture().encode()

        st.download_button(
            words("picture_file"), data=taken, file_name="lineage.svg", mime="image/svg+xml", on_click="ignore", type="tertiary"
        )


def _selected(key: str, view: View) -> str:
    """The node whose row is selected: the picture stands above the table, and is drawn first."""
    rows = getattr(getattr(st.session_state.get(key), "selection", None), "rows", [])
    return view.names[rows[0]] if rows and rows[0] < len(view.names) else ""


def _asked() -> Asked:
    far = [str(count) for count in range(FARTHEST + 1)]
    return Asked(node=asked("node"), up=int(asked("up", far, "1")), down=int(asked("down", far, "1")))


def _read(index: Index, here: Here) -> View:
    return read(index, here, _asked())


present("lineage", _read, show)
