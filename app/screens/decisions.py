"""Page "Decisions": what waits for a person, with the evidence in view; what a signature does; and the place to sign."""

from __future__ import annotations

import shlex

import streamlit as st

from app import draw
from app.address import asked, go, tab
from app.counter import Draft, Letter, answer
from app.frame import Here, link, present
from app.signing import Paper, outcome, sign
from app.views.decisions import TABS, Asked, Chosen, Item, View, read
from app.views.evidence import Evidence
from loopwright.clock import now
from loopwright.index import Index
from loopwright.ledger.access import saw

LINES = 14
"""Of a file; a longer one scrolls in itself."""


def show(here: Here, view: View) -> None:
    """Everything on the page."""
    outcome(here)
    tab("tab", here.words("tabs"), {name: here.words(f"tab.{name}") for name in TABS})
    for notice in view.sheet.notices:
        draw.notice(here.words, notice)
    if view.tab != "open":
        for table in view.sheet.tables:
            draw.table(here.words, table)
        if view.tab == "cover":
            _absence(here)
        return
    for item in view.queue:
        _item(here, item, chosen=bool(view.chosen and view.chosen.request.id[7:19] == item.id))
    if view.chosen:
        _chosen(here, view, view.chosen)


def _item(here: Here, item: Item, *, chosen: bool) -> None:
    with st.container(border=True, key=f"item-{item.id}"):
        what, stand, end = st.columns((5, 5, 2), vertical_alignment="center")
        what.markdown(f"**{draw.plain(item.about)}**")
        with stand.container(gap=None):
            draw.mark(
                "good" if item.granted else "wait", " · ".join((item.signed, item.lacks) if item.lacks else (item.signed,))
            )
            draw.quiet(item.until)
        label = here.words("chosen" if chosen else "look")
        end.button(label, key=f"look-{item.id}", on_click=go, kwargs={"request": item.id}, disabled=chosen, width="stretch")


def _chosen(here: Here, view: View, told: Chosen) -> None:
    words, short = here.words, told.request.id[7:19]
    st.header(draw.plain(f"{told.title} ({short})"), anchor=False)
    draw.figures(told.figures, width=150)
    st.text(told.effect)
    if told.veto:
        st.text(told.veto)
    st.header(draw.plain(words("evidence")), anchor=False)
    if told.evidence is None:
        draw.quiet(words("evidence.closed"))
        st.button(words("evidence.open"), key=f"open-{short}", on_click=_open, args=(here, told.request.id), type="primary")
    else:
        _evidence(here, told.evidence)
    with st.expander(words("exactly")):
        st.code("\n".join(f"{name}: {value}" for name, value in told.words), language=None, wrap_lines=True)
    draw.table(words, told.who)
    if told.answerable:
        _sign(here, view, told)


def _opening(here: Here, request: str) -> str:
    return f"opened-{here.root}-{request}"


def _open(here: Here, request: str) -> None:
    """The first look counts; it's in the access log, and in what is signed."""
    place = _opening(here, request)
    if place not in st.session_state:
        st.session_state[place] = now()
        saw(here.root, "evidence", f"request {request[7:19]}", by=here.visitor.key)


def _evidence(here: Here, told: Evidence) -> None:
    for reason in told.reasons:
        st.text(reason)
    if told.note:
        draw.quiet(told.note)
    if told.text:
        long = told.text.count("\n") > LINES
        st.code(told.text, language=None, wrap_lines=True, height=360 if long else "content")
    for table in told.tables:
        draw.table(here.words, table)
    if told.cycle:
        with st.container(horizontal=True):
            for one in ("samples", "data", "slices", "evidence"):
                link(here, "cycle", f"{told.cycle}: {here.words(f'link.{one}')}", cycle=told.cycle, tab=one)


def _sign(here: Here, view: View, told: Chosen) -> None:
    words, request = here.words, told.request
    short, state = request.id[7:19], view.state
    st.header(draw.plain(words("answer")), anchor=False)
    if told.evidence is None:
        draw.quiet(words("unopened"))
    answers = {"approve": words("approve"), "veto": words("reject")}
    said = st.segmented_control(
        words("your_answer"),
        list(answers),
        format_func=answers.__getitem__,
        key=f"answer-{short}",
        label_visibility="collapsed",
    )
    reason = st.text_area(words("reason"), key=f"reason-{short}", height=80, max_chars=1000)
    opened_at = st.session_state.get(_opening(here, request.id))
    ready = words("say_first") if said is None else words("reason_first") if said == "veto" and not reason.strip() else ""

    def letter(key: str) -> Letter:
        draft = Draft("answer", key, request.id, approves=said == "approve", reason=reason, opened_at=opened_at)
        return answer(here.root, state, draft)

    verb = "approve" if said != "veto" else "reject"
    why = f" --reason {shlex.quote(reason.strip())}" if reason.strip() or said == "veto" else ""
    everybody = {**told.signers, **({} if said != "veto" else {key: view.names.get(key, key) for key in told.barred})}
    sign(
        here,
        Paper(
            name=f"answer-{short}", label=words("sign_yes" if said != "veto" else "sign_no"), make=letter, inputs=(said, reason, opened_at), signers=everybody,
            barred={key: why for key, why in told.barred.items() if key not in everybody}, command=f"loopwright answer {short}\nloopwright {verb} {short}{why}", ready=ready, answers=request.id,
        ),
    )  # fmt: skip


def _absence(here: Here) -> None:
    st.text(here.words("absence"))
    st.code("loopwright keys enrol NAME --duty DUTY --ssh NAME.pub", language=None)


def _read(index: Index, here: Here) -> View:
    told = Asked(tab=asked("tab", TABS), request=asked("request"))
    found = (
        [key for key in st.session_state if str(key).startswith(_opening(here, f"sha256:{told.request}"))]
        if told.request
        else []
    )
    return read(Asked(tab=told.tab, request=told.request, opened=bool(found)), index, here)


present("decisions", _read, show)
