"""Entry of the dashboard: ``python -m streamlit run app/app.py -- WORKSPACE`` (or `loopwright app`). ``WORKSPACE`` may be a folder of them."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import streamlit as st

HERE = Path(__file__).resolve().parent
if sys.path[0] != str(HERE.parent):
    sys.path.insert(0, str(HERE.parent))  # before the script's own folder, where `app` would be this file

from app import door, frame  # noqa: E402
from app.contents import PAGES, SECTIONS  # noqa: E402
from app.place import places, start  # noqa: E402
from app.words import LANGUAGES, Words, language_of  # noqa: E402

st.set_page_config(page_title="Loopwright", page_icon=str(HERE / "static" / "icon.png"), layout="wide")
if st.context.theme.type == "dark":
    st.html(HERE / "static" / "dark.css")
lang = st.query_params.get("lang") or st.session_state.get("lang")
lang = lang if lang in LANGUAGES else None
words = Words("common", language_of(lang, st.context.locale))
known = places(start())
loop = st.query_params.get("loop") or st.session_state.get("loop")
loop = loop if loop in known else next(iter(known))
st.session_state["lang"], st.session_state["loop"] = lang, loop
several = len(known) > 1
for name, value in (("lang", lang), ("loop", loop if several else None)):
    if value and st.query_params.get(name) != value:
        st.query_params[name] = value  # an address that is copied from the browser leads back here

visitor = door.visitor(known[loop], words)
frame.enter(
    {
        "root": known[loop],
        "loop": loop if several else None,
        "language": words.language,
        "visitor": visitor,
        "lang": lang,
        "known": known,
    }
)
allowed: dict[str, list[st.Page]] = {words(f"section.{section}"): [] for section in SECTIONS}
first = next((one.name for one in PAGES if visitor.may(one.needs)), None)
for one in PAGES:
    title, address = words(f"page.{one.name}"), one.name
    if visitor.may(one.needs):
        page = st.Page(HERE / "screens" / f"{one.name}.py", title=title, url_path=address, default=one.name == first)
    else:  # not in the list; whoever has its address is told why
        refused = partial(frame.refused, one.name)
        page = st.Page(refused, title=title, url_path=address, visibility="hidden", default=first is None and one == PAGES[0])
    allowed[words(f"section.{one.section}")].append(page)
chosen = st.navigation({section: pages for section, pages in allowed.items() if pages}, expanded=True)
with st.sidebar:
    door.beside(visitor, words, known, loop)
chosen.run()
