"""A second opinion, given in the browser: one row after the other without the verifier's verdict, then signed like a decision.

What is said stays in the session until it is signed. Of each person the newest signature counts, so one that is given later holds all answers anew.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import streamlit as st

from app import draw
from app.counter import Letter, label
from app.frame import Here
from app.signing import Paper, outcome, sign
from loopwright.labelling import ANSWERS, Queue

__all__ = ["opinion"]


def opinion(here: Here, found: Queue, people: Mapping[str, str]) -> None:
    """The place to say and to sign; ``people``: key ids of enrolled persons with names."""
    outcome(here)
    if not found.rows:
        return
    said = _said(here, found)
    at = _place(here, found, said)
    st.progress(len(said) / len(found.rows), draw.plain(here.words("label_done", n=len(said), of=len(found.rows))))
    _row(here, found.rows[at], at, said, found)
    if said:
        _sign(here, found, said, people)


def _said(here: Here, found: Queue) -> MutableMapping[str, str]:
    """Answers of this session about this cycle's rows, by id."""
    return st.session_state.setdefault(f"labels-said-{here.root}-{found.cycle}", {})


def _key(here: Here, found: Queue) -> str:
    return f"labels-at-{here.root}-{found.cycle}"


def _place(here: Here, found: Queue, said: Mapping[str, str]) -> int:
    """Which row is shown: the one that was gone to, else the first without an answer."""
    rows: Sequence[Mapping[str, Any]] = found.rows
    open_ones = [number for number, row in enumerate(rows) if row["id"] not in said]
    return min(st.session_state.get(_key(here, found), open_ones[0] if open_ones else 0), len(rows) - 1)


def _row(here: Here, row: Mapping[str, Any], at: int, said: MutableMapping[str, str], found: Queue) -> None:
    """One row whole, as it was written, and three buttons."""
    words, last = here.words, len(found.rows) - 1

    def go(place: int) -> None:
        st.session_state[_key(here, found)] = max(0, min(last, place))

    def say(answer: str) -> None:
        said[row["id"]] = answer
        go(at + 1)

    with st.container(border=True):
        st.text(words("label_row", n=at + 1, of=last + 1, id=row["id"]))
        st.text(words("column.prompt"))
        st.code(row["prompt"] or "", language=None, wrap_lines=True)
        st.text(words("column.answer"))
        st.code(row["answer"] or "", language=None, wrap_lines=True)
        with st.container(horizontal=True):
            for answer in ANSWERS:
                kind = "primary" if said.get(row["id"]) == answer else "secondary"
                st.button(words(f"label.{answer}"), key=f"label-{answer}", on_click=say, args=(answer,), type=kind)
            st.button(words("label_back_one"), on_click=go, args=(at - 1,), disabled=at == 0, type="tertiary")
            st.button(words("label_on_one"), on_click=go, args=(at + 1,), disabled=at == last, type="tertiary")


def _forget(here: Here, found: Queue) -> None:
    """What was signed is on the record now, and is not signed twice."""
    _said(here, found).clear()
    st.session_state.pop(_key(here, found), None)


def _sign(here: Here, found: Queue, said: Mapping[str, str], people: Mapping[str, str]) -> None:
    words, cycle = here.words, found.cycle
    answers = dict(said)

    def letter(key: str) -> Letter:
        return label(here.root, cycle, key, answers)

    st.header(draw.plain(words("label_sign_head")), anchor=False)
    paper = Paper(
        name=f"labels-{cycle}", label=words("label_sign", n=len(answers)), make=letter, inputs=tuple(sorted(answers.items())), signers=people,
        barred={}, command=f"loopwright label {cycle} --give FILE --as NAME", ways=("browser", "command"), after=lambda: _forget(here, found),
    )  # fmt: skip
    sign(here, paper)
