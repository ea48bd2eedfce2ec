"""Page "Overview": where the loop is, whether it gets better, whether it is safe to go on, what waits for a person, what it costs."""

from __future__ import annotations

import json

import streamlit as st

from app import draw
from app.address import asked, tab
from app.chart import curve_spec, describe
from app.frame import SECONDS, Here, link, present
from app.sheet import Mark
from app.views.alerts import LEVELS
from app.views.overview import WINDOWS, View, read
from app.views.stages import Running, Stage, strip_of
from loopwright.clock import now
from loopwright.index import Index

SIZES = {str(size): str(size) for size in WINDOWS}
FEW = 5  # alerts that are shown here
STATES: dict[str, Mark] = {"done": "good", "now": "wait", "failed": "bad", "todo": "none"}


def show(here: Here, view: View) -> None:
    """Everything on the page."""
    for notice in view.sheet.notices:
        draw.notice(here.words, notice)
    if not view.points and not view.running and not view.sheet.figures:
        return
    draw.figures(view.sheet.figures[:5])
    _alerts(here, view)
    if view.waiting:
        _waiting(here, view)
    if view.running:
        _stages(here, view.running)
    if view.points:
        _curve(here, view)
    _reasons(here, view)
    _pace(here, view)
    if view.lights:
        _lights(here, view)
    for table in view.sheet.tables:
        if table.name != "lights":
            draw.table(here.words, table)
    if view.integrity:
        st.header(draw.plain(here.words("integrity")), anchor=False)
        draw.figures(view.integrity)
        draw.quiet(here.words("integrity_note"))


def _alerts(here: Here, view: View) -> None:
    if not view.alerts:
        return
    said = here.words.of("alerts")
    with st.container(border=True, gap="xsmall"):
        for level, says in view.alerts[:FEW]:
            draw.mark(LEVELS[level], f"{said(f'level.{level}')}: {says}")
        if len(view.alerts) > FEW:
            draw.quiet(said("more", n=here.words.count(len(view.alerts) - FEW)))
        link(here, "alerts", said("title"))


def _reasons(here: Here, view: View) -> None:
    if view.reasons:
        st.header(draw.plain(here.words("reasons", cycle=view.decided)), anchor=False)
        for reason in view.reasons:
            st.text(reason)
        link(here, "cycle", here.words("open_cycle", cycle=view.decided), cycle=view.decided)


def _pace(here: Here, view: View) -> None:
    if view.pace:
        st.header(draw.plain(here.words("pace")), anchor=False)
        draw.figures(view.pace)


def _waiting(here: Here, view: View) -> None:
    st.header(draw.plain(here.words("waiting")), anchor=False)
    for one in view.waiting:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            draw.mark("wait", one["action"])
            st.text(" ".join(part for part in (one["about"], one["answers"]) if part), width="content")
            st.text(here.words("since_until", since=one["since"], until=one["until"]), width="content")
            link(here, "decisions", here.words("decide"), request=one["id"][7:19])


def _stages(here: Here, running: Running) -> None:
    st.header(draw.plain(here.words("running", cycle=running.row["cycle"])), anchor=False)

    def strip() -> None:
        told = strip_of(here.words, running, now("seconds"))
        with st.grid(columns=len(told.stages), min_column_width=105):
            for stage in told.stages:
                _stage(stage)
        if told.left:
            draw.quiet(told.left)

    st.fragment(strip, run_every=SECONDS)()  # only this is drawn every few seconds, all else where the record has grown


def _stage(stage: Stage) -> None:
    with st.container(border=True, height="stretch", gap="xsmall"):
        st.text(stage.name)
        draw.mark(STATES[stage.state], stage.words)
        if stage.note:
            draw.quiet(stage.note)


def _curve(here: Here, view: View) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.header(draw.plain(here.words("score_by_cycle")), anchor=False, width="content")
        tab("window", here.words("window"), SIZES)
    spec = curve_spec(view.points, here.words, dark=draw.dark())
    st.vega_lite_chart(json.loads(spec), alt=describe(view.points, here.words), key="curve")
    draw.quiet(f"{here.words('curve_note')} {here.words('interval_method', method=view.methods)}")


def _lights(here: Here, view: View) -> None:
    st.header(draw.plain(here.words("lights", cycle=view.lights_of)), anchor=False)
    draw.figures(view.lights, columns=min(5, len(view.lights)))
    draw.quiet(here.words("lights_words"))
    with st.expander(here.words("lights_more")):
        draw.table(here.words, next(table for table in view.sheet.tables if table.name == "lights"))


def _asked(index: Index, here: Here) -> View:
    return read(index, here, window=int(asked("window", list(SIZES))))


present("overview", _asked, show)
