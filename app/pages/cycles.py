"""Page "Cycles": headline, score curve, who is checking the builder, table. While a cycle is open it looks again by itself."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app.chart import describe, score_curve
from app.view import NEWEST, Notice, View, load, workspace
from loopwright.ledger.access import saw

SECONDS = 5
CHECKED = "checked"


def draw(view: View) -> None:
    """Everything on the page. Written text goes through `st.text` and `st.code`, which show it as it is."""
    st.title(view.title, anchor=False)
    for notice in view.notices:
        _notice(notice)
    if view.figures:
        _figures(view)
    if view.points:
        _curve(view)
    if view.checks:
        _checks(view)
    if view.rows:
        _table(view)


def _notice(notice: Notice) -> None:
    box = {"info": st.info, "warning": st.warning, "error": st.error}[notice.kind]
    box(notice.title)
    if notice.detail:
        st.code(notice.detail, language=None, wrap_lines=True)
    if notice.command:
        st.text("Next:")
        st.code(notice.command, language=None, wrap_lines=True)


def _figures(view: View) -> None:
    with st.grid(columns=len(view.figures), min_column_width=150):
        for figure in view.figures:
            with st.container(border=True, height="stretch", gap="xsmall"):
                st.metric(figure.label, figure.value)
                _quiet(figure.note)
    if view.reasons:
        st.text("Reasons of the last decision: " + "; ".join(view.reasons))


def _quiet(words: str) -> None:
    """Small print in our own words and numbers alone (a caption's grey is too faint, and Markdown links what looks like one)."""
    st.markdown(f":gray[:small[{words}]]")


def _curve(view: View) -> None:
    st.header("Score", anchor=False)
    st.altair_chart(score_curve(view.points, dark=st.context.theme.type == "dark"), alt=describe(view.points))
    _quiet(
        "Points are pass@1 of greedy answers on the headline levels, bands their intervals. The sealed suite steers nothing."
    )
    st.text(f"Interval: {view.methods}")


def _checks(view: View) -> None:
    st.header("Who is checking the builder", anchor=False)
    st.selectbox("Cycle", [NEWEST, *(row["Cycle"] for row in view.rows)], key=CHECKED, width=160)
    st.text(view.answer)
    st.dataframe(
        list(view.checks),
        hide_index=True,
        placeholder="-",
        alt="Each phase: the verdict, who made it, who checked it, what the two share",
        column_config={
            "Shared code": st.column_config.TextColumn(width=190),
            "Model (sha256)": st.column_config.TextColumn(width=120),
        },
    )
    _quiet("From the record alone. A checker that shares a key or an ancestor is refused; shared code is shown.")


def _table(view: View) -> None:
    st.header("All cycles", anchor=False)
    number = st.column_config.NumberColumn
    st.dataframe(
        list(view.rows),
        hide_index=True,
        placeholder="-",
        alt="Every cycle with decision, scores, rows and wall time; newest first",
        column_config={
            "Sealed": number(format="%.3f", width="small"),
            "Gate": number(format="%.3f", width="small"),
            "Accepted": number(format="localized", width="small"),
            "Refused": number(format="localized", width="small"),
            "Wall time": number(format="%.0f s", width="small"),
            "Reasons": st.column_config.TextColumn(width="large"),
        },
    )


def _load(root: Path) -> View:
    return load(root, st.session_state.get(CHECKED, NEWEST))


def _again(root: Path) -> None:
    view = _load(root)
    draw(view)
    if not view.live:
        st.rerun()


if "seen" not in st.session_state:  # the script runs again at every click
    st.session_state["seen"] = True
    saw(workspace(), "page", "cycles")
first = _load(workspace())
if first.live:
    st.fragment(_again, run_every=SECONDS)(workspace())
else:
    draw(first)
