"""What stands around every page: who looks, at which loop, in which language; whether they may; and what is said where the record cannot be read.

A page calls `present` with its name, how to read what it shows and how to draw it. Everything else is here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode

import streamlit as st

from app import draw
from app.contents import PAGES, Entry, entry
from app.integrity import Standing, standing
from app.place import is_workspace
from app.sheet import Notice, Sheet
from app.visitor import Visitor
from app.words import Words
from loopwright.errors import IntegrityError, LoopwrightError
from loopwright.index import Index
from loopwright.ledger.access import saw

__all__ = ["HasSheet", "Here", "enter", "follow", "here", "link", "present", "refused", "where"]

SECONDS = 5
"""Between two looks at a loop that runs."""
_HERE = "here"


class HasSheet(Protocol):
    """A page's view: plain values, of which ``sheet`` is what is taken away."""

    @property
    def sheet(self) -> Sheet: ...


View = TypeVar("View", bound=HasSheet)


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """Where a page stands."""

    root: Path
    """The workspace."""
    loop: str | None
    """Its name in the address, where there are several."""
    page: str
    words: Words
    visitor: Visitor
    lang: str | None
    """The language in the address, where one was chosen."""
    known: Mapping[str, Path]
    """All workspaces that this app shows, by name."""

    def about(self) -> Mapping[str, Any]:
        """What an export says of itself."""
        told = standing(self.root)
        return {
            "workspace": self.root.name,
            "verified": told.state,
            "entries": told.size,
            "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        }


def enter(place: Mapping[str, Any]) -> None:
    """Keep where the visitor is for the page that runs next (`app.app` calls it)."""
    st.session_state[_HERE] = dict(place)


def here(page: str) -> Here:
    """Where this page stands."""
    kept = dict(st.session_state[_HERE])
    return Here(page=page, words=Words(page, kept.pop("language")), **kept)


def link(place: Here, page: str, label: str, **parameters: str | list[str]) -> None:
    """A link to another page with its filters, tab or selection; loop and language go with it.

    Nothing where there is no such page, or the visitor may not see it.
    """
    found = next((one for one in PAGES if one.name == page), None)
    if found is None or not place.visitor.may(found.needs):
        return
    st.page_link(_screen(page), label=f":primary[{draw.plain(label)}]", query_params=_carried(place, parameters))


def where(place: Here, page: str, **parameters: str | list[str]) -> str:
    """The address of the same, for a browser that stands at any of our pages."""
    return f"{page}?{urlencode(_carried(place, parameters), doseq=True)}"


def follow(place: Here, page: str, **parameters: str | list[str]) -> None:
    """Go there now; the script ends here."""
    st.switch_page(_screen(page), query_params=_carried(place, parameters))


def _carried(place: Here, parameters: Mapping[str, str | list[str]]) -> dict[str, str | list[str]]:
    told: dict[str, str | list[str] | None] = {"loop": place.loop, "lang": place.lang, **parameters}
    return {name: value for name, value in told.items() if value}


def _screen(page: str) -> str:
    return str(Path(__file__).resolve().parent / "screens" / f"{page}.py")


def present(page: str, read: Callable[[Index, Here], View], show: Callable[[Here, View], None]) -> None:
    """Draw a page: ``read`` asks the index and makes plain values, ``show`` draws them. While the loop runs it looks whether there is more."""
    place, told = here(page), entry(page)
    if not place.visitor.may(told.needs):
        _refuse(place, told)
        return
    _note(place, told)
    found = _looked(place, read)
    _drawn(place, found, show)
    if not found.running:
        return

    drawn = [True]  # what is drawn now may be newer than the look that all share

    def watch() -> None:
        if not drawn and _mark(place.root) != found.mark:
            st.rerun()
        drawn.clear()

    st.fragment(watch, run_every=SECONDS)()


@st.cache_data(ttl=SECONDS / 2, max_entries=100, show_spinner=False)
def _mark(root: Path) -> tuple[Any, ...]:
    """Changes where a page may: one look for all who watch."""
    try:
        with Index.open(root) as index:
            return index.told["size"], standing(root).state, index.driven
    except LoopwrightError:
        return ()


def refused(page: str) -> None:
    """What somebody sees at the address of a page that they may not see."""
    _refuse(here(page), entry(page))


def _refuse(place: Here, told: Entry) -> None:
    words = place.words.of("common")
    st.title(draw.plain(words(f"page.{told.name}")), anchor=False)
    roles = ", ".join(words(f"role.{role}") for role in told.needs)
    draw.notice(
        words,
        Notice(
            kind="error", title=words("refused"), detail=words("refused_detail", roles=roles), command=words("refused_next")
        ),
    )


def _note(place: Here, told: Entry) -> None:
    """One entry of the access log a page and session: the script runs again at every click."""
    seen = st.session_state.setdefault("seen", set())
    if (place.root, told.name) not in seen:
        seen.add((place.root, told.name))
        saw(place.root, "page", told.name, by=place.visitor.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What one look at the record gave: a view, or why there is none."""

    view: Any = None
    running: bool = False
    mark: tuple[Any, ...] = ()
    """As `_mark`, of what was read."""
    error: LoopwrightError | None = None


def _looked(place: Here, read: Callable[[Index, Here], Any]) -> _Found:
    try:
        with Index.open(place.root) as index:
            view, driven = read(index, place), index.driven
            running = driven or index.told["open"] is not None
            return _Found(view=view, running=running, mark=(index.told["size"], standing(place.root).state, driven))
    except LoopwrightError as error:
        return _Found(error=error)


def _drawn(place: Here, found: _Found, show: Callable[[Here, Any], None]) -> None:
    if found.error is not None:
        st.title(draw.plain(place.words.of("common")(f"page.{place.page}")), anchor=False)
        _unreadable(place, found.error)
        return
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.title(draw.plain(found.view.sheet.title), anchor=False, width="content")
        draw.exports(place, found.view.sheet)
    _integrity(place, standing(place.root))
    show(place, found.view)


def _integrity(place: Here, told: Standing) -> None:
    """A record that does not verify is said before everything else, in red, with the entry where it breaks."""
    if told.state == "broken":
        words = place.words.of("common")
        title = words("unverified_at", entry=words.count(told.breaks)) if told.breaks is not None else words("unverified")
        draw.notice(words, Notice(kind="error", title=title, detail="\n".join(told.findings), command="loopwright verify"))


def _unreadable(place: Here, error: LoopwrightError) -> None:
    words = place.words.of("common")
    if not is_workspace(place.root):
        empty = Notice(
            kind="info",
            title=words("no_record"),
            detail=words("no_record_detail", root=place.root),
            command="loopwright init lab && cd lab && loopwright run",
        )
        draw.notice(words, empty)
        return
    title = words("unverified") if isinstance(error, IntegrityError) else words("unreadable")
    draw.notice(words, Notice(kind="error", title=title, detail=error.message, command=error.next_step))
