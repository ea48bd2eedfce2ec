"""The door: signing in and out, the loop and the language that were chosen. Streamlit's part of `app.visitor`."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from app import draw
from app.sheet import Notice
from app.visitor import ROLES_FILE, Visitor, local, read_roles, visitor_of
from app.words import LANGUAGES, Words
from loopwright.errors import LoopwrightError
from loopwright.ledger import Ledger
from loopwright.ledger.roster import Roster

__all__ = ["beside", "visitor"]


def visitor(root: Path, words: Words) -> Visitor:
    """Who looks at this workspace. Ends the script where nobody may: not signed in, or served to other machines without a sign-in."""
    how = _how()
    if how == "local":
        _alone(words)
        return local()
    if how == "oidc" and not st.user.is_logged_in:
        st.title("Loopwright", anchor=False)
        st.text(words("sign_in_needed"))
        st.button(words("sign_in"), on_click=st.login, type="primary")
        st.stop()
    try:
        people = read_roles(root / ROLES_FILE)
    except LoopwrightError as error:
        draw.notice(words, Notice(kind="error", title=words("unreadable"), detail=error.message, command=error.next_step))
        st.stop()
    keyed = any("key" in told for told in people.values())
    return visitor_of(dict(st.user), how, people, _roster(root) if keyed else None)


def _how() -> str:
    try:
        configured = "auth" in st.secrets
    except FileNotFoundError:
        configured = False
    if configured:
        return "oidc"
    return "proxy" if st.get_option("server.trustedUserHeaders") else "local"


def _alone(words: Words) -> None:
    """Without a sign-in nobody but this machine: whatever the server was told to listen on."""
    address = st.get_option("server.address") or "0.0.0.0"  # noqa: S104  # Streamlit's own default, which is refused
    if address != "localhost" and not _loopback(address):
        draw.notice(
            words,
            Notice(
                kind="error",
                title=words("open_door"),
                detail=words("open_door_detail", address=address),
                command="loopwright app",
            ),
        )
        st.stop()


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _roster(root: Path) -> Roster | None:
    """None, so that no key counts, where the record cannot be read."""
    try:
        ledger = Ledger.open(root)
    except LoopwrightError:
        return None
    try:
        return ledger.roster()
    except LoopwrightError:
        return None
    finally:
        ledger.close()


def beside(who: Visitor, words: Words, known: Mapping[str, Path], loop: str) -> None:
    """Below the navigation: which loop, which language, who is here."""
    if len(known) > 1:
        names = list(known)
        st.selectbox(
            words("loop"),
            names,
            index=names.index(loop),
            key=f"pick-loop-{loop}",
            on_change=_take,
            args=("loop", f"pick-loop-{loop}"),
        )
    codes = list(LANGUAGES)
    st.selectbox(
        words("language"), codes, index=codes.index(words.language), format_func=LANGUAGES.__getitem__,
        key=f"pick-lang-{words.language}", on_change=_take, args=("lang", f"pick-lang-{words.language}"),
    )  # fmt: skip
    if who.how == "local":
        draw.quiet(words("local_only"))
        return
    st.text(who.name)
    draw.quiet(", ".join(words(f"role.{role}") for role in sorted(who.roles)) or words("no_role"))
    if who.how == "oidc":
        st.button(words("sign_out"), on_click=st.logout)


def _take(name: str, key: str) -> None:
    st.session_state[name] = st.session_state[key]
    st.query_params[name] = st.session_state[key]
