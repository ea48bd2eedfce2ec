"""Page "Controls": pause, halt, freeze, go on, roll back: what each does, a confirmation, and the place to sign; the daily digest."""

from __future__ import annotations

import streamlit as st

from app import draw
from app.address import asked, go, tab
from app.counter import Draft, Letter, ask, stop
from app.frame import Here, link, present
from app.signing import Paper, outcome, sign
from app.views.controls import ACTS, SIGNED, View, command, read
from loopwright.index import Index
from loopwright.ledger.access import saw


def show(here: Here, view: View) -> None:
    """Everything on the page."""
    words = here.words
    outcome(here)
    for notice in view.sheet.notices:
        draw.notice(words, notice)
    draw.figures(view.sheet.figures, width=200)
    st.header(draw.plain(words("act")), anchor=False)
    tab("act", words("act"), {"": words("nothing"), **{name: words(name) for name in ACTS}})
    if view.act:
        with st.container(border=True):
            _act(here, view)
    draw.table(words, view.sheet.tables[0])
    link(here, "decisions", words("to_decisions"))
    _digest(here, view)


def _act(here: Here, view: View) -> None:
    words, act = here.words, view.act
    with st.grid(columns=3, min_column_width=230):
        for key, told in (("does", view.effect), ("may", view.who), ("ends", view.undo)):
            with st.container(gap="xsmall"):
                st.markdown(f"**{draw.plain(words(key))}**")
                st.text(told)
    if view.possible:
        st.info(draw.plain(view.possible))
        return
    cycle = st.selectbox(words("rollback.to"), view.promoted, key="rollback-to") if act == "rollback" else ""
    needs = act in {"halt", "freeze", "rollback"}
    reason = st.text_area(words("reason"), key=f"reason-{act}", height=80, max_chars=1000) if needs else ""
    sure = st.checkbox(words(f"{act}.sure"), key=f"sure-{act}")
    if not sure:
        draw.quiet(words("confirm"))
    elif act in SIGNED:
        _sign(here, view, reason, words("reason_first") if needs and not reason.strip() else "")
    else:
        draw.quiet(words(f"{act}.command"))
        st.code(command(act, reason, cycle or ""), language=None, wrap_lines=True)


def _sign(here: Here, view: View, reason: str, ready: str) -> None:
    act, state = view.act, view.state
    stands = act in {"halt", "freeze"}

    def letter(key: str) -> Letter:
        draft = Draft(act, key, reason=reason)
        return stop(here.root, draft) if stands else ask(here.root, state, draft)

    paper = Paper(
        name=act, label=here.words(f"{act}.sign"), make=letter, inputs=(reason, state.leaves if not stands else 0), signers=view.people, barred={},
        command=command(act, reason), ready=ready, after=_done,
    )  # fmt: skip
    sign(here, paper)


def _done() -> None:
    go(act=None)  # signed twice, it would be two entries


def _digest(here: Here, view: View) -> None:
    words = here.words
    st.header(draw.plain(words("digest")), anchor=False)
    draw.quiet(words("digest.note"))
    if not view.digest:
        st.button(words("digest.make"), on_click=go, kwargs={"digest": "1"})
        return
    st.code(view.digest, language=None, wrap_lines=True)

    def taken() -> bytes:
        saw(here.root, "export", "digest", by=here.visitor.key)
        return view.digest.encode()

    st.download_button(
        words("digest.take"), data=taken, file_name=f"{here.root.name}-digest.txt", mime="text/plain", on_click="ignore"
    )


def _read(index: Index, here: Here) -> View:
    return read(index, here, asked("act", ("", *ACTS)), tell=asked("digest") == "1")


present("controls", _read, show)
