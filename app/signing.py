"""Where a person signs: with a key that their browser keeps, or with a file that they sign where their key is.

The app drafts what is to be signed and hands over what comes back; it holds no key, and what it shows is read by the browser from the very
bytes that the browser signs.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from app import draw
from app.counter import Letter, Taken, bring, signature
from app.frame import Here
from app.sheet import Notice
from loopwright.errors import LoopwrightError

__all__ = ["Paper", "outcome", "sign"]

_PARTS = Path(__file__).resolve().parent / "parts"
SHOWN = 300_000
"""Bytes of a text that is shown whole to whoever signs it; of another file its name and digest are."""
FRESH = 600.0
"""Seconds for which a draft stands; then it is made anew, so that nobody signs an old moment."""
SAID = ("unsupported", "none", "make", "unknown", "wait", "exactly", "request", "words", "statement", "moment", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """What is to be signed, by whoever it turns out to be."""

    name: str
    """Of its widgets: another matter has another one."""
    label: str
    """On the button."""
    make: Callable[[str], Letter]
    """The letter for a key id."""
    inputs: tuple[Any, ...]
    """What the letter is made of: it is drafted anew where this changes."""
    signers: Mapping[str, str]
    """Key ids of those whose signature would count, with names."""
    barred: Mapping[str, str]
    """Key ids of enrolled persons whose signature would not count here, with why."""
    command: str
    """What does the same at a terminal."""
    ready: str = ""
    """Why nothing can be signed yet."""
    answers: str | None = None
    """The request that it answers."""
    ways: tuple[str, ...] = ("browser", "file", "command")
    """How it can be signed."""
    after: Callable[[], None] = lambda: None
    """What is done once it's recorded."""


@cache
def _component() -> Any:
    html = '<div class="signer"></div>'
    css, js = ((_PARTS / f"signer.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    return st.components.v2.component("loopwright_signer", html=html, css=css, js=js)


def outcome(here: Here) -> None:
    """What came of the last signature of this page, once."""
    told = st.session_state.pop(f"outcome-{here.page}", None)
    if told is not None:
        draw.notice(here.words, told)


def sign(here: Here, paper: Paper) -> None:
    """The place to sign: two ways, and the command."""
    words = here.words.of("signing")
    ways = {name: words(f"way.{name}") for name in paper.ways}
    way = st.segmented_control(
        words("way"), list(ways), default="browser", format_func=ways.__getitem__, required=True, key=f"way-{here.page}"
    )
    if way == "command":
        draw.quiet(words("command_note"))
        st.code(paper.command, language=None, wrap_lines=True)
    elif way == "file":
        _by_file(here, paper)
    else:
        _by_browser(here, paper)


def _letter(here: Here, paper: Paper, key: str) -> Letter | None:
    """The draft, the same one while nothing that it says has changed: what comes back is held against it."""
    place = f"letter-{here.page}"
    kept = st.session_state.get(place)
    wanted = (paper.name, key, paper.inputs)
    if kept and kept[0] == wanted and time.monotonic() - kept[1] < FRESH:
        return kept[2]
    try:
        made = paper.make(key)
    except LoopwrightError as error:
        draw.notice(here.words, Notice(kind="error", title=here.words.of("signing")("refused"), detail=error.message))
        return None
    st.session_state[place] = (wanted, time.monotonic(), made)
    return made


def _by_browser(here: Here, paper: Paper) -> None:
    words, key = here.words.of("signing"), st.session_state.get("browser-key", {})
    known = key.get("id", "") in {*paper.signers, *paper.barred}
    may = key.get("id") in paper.signers
    letter = _letter(here, paper, key["id"]) if may and not paper.ready else None
    place = f"letter-{here.page}"
    drafted = st.session_state[place][2] if place in st.session_state and letter else None
    told: Any = _component()(
        key=f"signer-{here.page}-{paper.name}",
        data={
            "words": {name: paper.ready if name == "wait" else words(f"browser.{name}") for name in SAID},
            "key": key.get("id"), "known": known, "may": may, "label": paper.label,
            "why": words("barred", name=key.get("id", ""), why=paper.barred.get(key.get("id", ""), "")),
            "letter": _told(letter) if letter else None,
        },
        on_key_change=lambda: None, on_signed_change=lambda: None,
    )  # fmt: skip
    if told.key and told.key != key:
        st.session_state["browser-key"] = told.key
        st.rerun()
    if key and not known:
        draw.quiet(words("enrol_note"))
        st.code(
            f"echo '{key['line']}' > browser.pub\nloopwright keys enrol NAME --duty DUTY --ssh browser.pub --custody browser",
            language=None,
            wrap_lines=True,
        )
    if told.signed and drafted:
        _handed(here, paper, lambda: bring(here.root, signature(told.signed), drafted, paper.answers))


def _told(letter: Letter) -> Mapping[str, Any]:
    import json

    told = json.loads(letter.as_json())
    enclosed = [base64.b64encode(data).decode() for data in letter.enclosed if len(data) <= SHOWN and _is_text(data)]
    return {"payload": told["payload"], "about": told["about"], "enclosed": enclosed, "moment": letter.moment}


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in data


def _by_file(here: Here, paper: Paper) -> None:
    words = here.words.of("signing")
    if not paper.signers:
        st.text(words("nobody"))
        return
    key = st.selectbox(words("who"), list(paper.signers), format_func=paper.signers.__getitem__, key=f"who-{paper.name}")
    letter = None if paper.ready else _letter(here, paper, key)
    if paper.ready:
        st.text(paper.ready)
    if letter is not None:
        st.text(words("file.first"))
        name = f"{paper.name}.letter"
        st.download_button(
            words("file.take"),
            letter.as_json(),
            file_name=name,
            mime="application/json",
            on_click="ignore",
            key=f"take-letter-{paper.name}",
        )
        st.text(words("file.then"))
        st.code(f"loopwright sign {name}", language=None)
    st.text(words("file.last"))
    brought = st.file_uploader(words("file.signed"), key=f"signed-{paper.name}", max_upload_size=1)
    if st.button(words("file.record"), disabled=brought is None, key=f"record-{paper.name}", type="primary") and brought:
        data = brought.getvalue()
        _handed(here, paper, lambda: bring(here.root, data, answers=paper.answers))


def _handed(here: Here, paper: Paper, hand_over: Callable[[], Taken]) -> None:
    """Keep what came of it for the next run, which shows the record as it then is."""
    words = here.words.of("signing")
    try:
        taken = hand_over()
    except LoopwrightError as error:
        told = Notice(kind="error", title=words("refused"), detail=error.message, command=error.next_step)
    except OSError as error:  # the app's account may not write the record
        told = Notice(kind="error", title=words("refused"), detail=str(error), command=paper.command)
    else:
        kind = taken.said.get("answer", taken.kind)
        told = Notice(kind="success", title=words("recorded", what=words.named("kind", kind), entry=words.count(taken.index)))
        st.session_state.pop(f"letter-{here.page}", None)
        paper.after()
    st.session_state[f"outcome-{here.page}"] = told
    st.rerun()
