"""Filters, tabs and selections that live in the address, so that a link shows the same to whoever opens it, in any language.

The address is the truth: a widget takes its value from it at every run and writes it back when somebody changes it. Values in it are
plain codes (``decision=promote``), what is read beside the widget is in the reader's language; a default stays out of it, a value that
is not allowed counts as none. (Streamlit's own binding writes the labels.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

__all__ = ["asked", "asked_all", "go", "number", "one_of", "pages", "several_of", "switch", "tab", "typed"]


def asked(key: str, allowed: Sequence[str] = (), default: str | None = None) -> str:
    """What the address says of this key; by default the first of ``allowed``, or nothing."""
    first = default if default is not None else (allowed[0] if allowed else "")
    told = st.query_params.get(key)
    return told if told is not None and (not allowed or told in allowed) else first


def asked_all(key: str, allowed: Sequence[str], default: Sequence[str] = ()) -> list[str]:
    """The same of a key with several values."""
    told = [value for value in st.query_params.get_all(key) if value in allowed]
    return list(dict.fromkeys(told)) or list(default)


def number(key: str, default: int, most: int) -> int:
    """A whole number from 1 to ``most``."""
    told = st.query_params.get(key, "")
    return max(1, min(most, int(told))) if told.isascii() and told.isdecimal() and len(told) < 10 else default


def go(**values: str | Sequence[str] | None) -> None:
    """Change the address; None takes a key out of it."""
    for key, value in values.items():
        if value:
            st.query_params[key] = value
        elif key in st.query_params:
            del st.query_params[key]


def _keep(key: str, default: Any, back: str | None) -> None:
    value = st.session_state[key]
    if isinstance(value, bool):
        value = "1" if value else None
    go(**{key: None if value == default else [str(one) for one in value] if isinstance(value, list) else str(value or "")})
    if back is not None:
        go(**{back: None})


def _widget(
    make: Callable[..., Any], key: str, value: Any, default: Any, *told: Any, back: str | None = None, **more: Any
) -> Any:
    st.session_state[key] = value
    return make(*told, key=key, on_change=_keep, args=(key, default, back), **more)


def one_of(
    key: str, label: str, allowed: Mapping[str, str], *, default: str | None = None, back: str | None = None, **more: Any
) -> str:
    """A list to choose one from; ``allowed``: codes and how they are called. ``back``: a key (of paging) that starts anew."""
    first = default if default is not None else next(iter(allowed))
    value = asked(key, list(allowed), first)
    return _widget(
        st.selectbox,
        key,
        value,
        first,
        label,
        list(allowed),
        format_func=lambda code: allowed.get(code, code),
        back=back,
        **more,
    )


def several_of(
    key: str,
    label: str,
    allowed: Mapping[str, str],
    *,
    default: Sequence[str] = (),
    back: str | None = None,
    wide: bool = False,
    **more: Any,
) -> list[str]:
    """Pills, or a list with a search where they are many (``wide``)."""
    value = asked_all(key, list(allowed), default)
    make, kind = (st.multiselect, {}) if wide else (st.pills, {"selection_mode": "multi"})
    told = _widget(
        make,
        key,
        value,
        list(default),
        label,
        list(allowed),
        format_func=lambda code: allowed.get(code, code),
        back=back,
        **kind,
        **more,
    )
    return list(told or [])


def tab(key: str, label: str, allowed: Mapping[str, str], **more: Any) -> str:
    """Tabs of which only the chosen one is made; the first is the default."""
    first = next(iter(allowed))
    kind: dict[str, Any] = {"required": True, "label_visibility": "collapsed", **more}
    return _widget(
        st.segmented_control,
        key,
        asked(key, list(allowed)),
        first,
        label,
        list(allowed),
        format_func=lambda code: allowed.get(code, code),
        **kind,
    )


def typed(key: str, label: str, *, back: str | None = None, **more: Any) -> str:
    """A line of text."""
    return _widget(st.text_input, key, asked(key), "", label, back=back, **more) or ""


def switch(key: str, label: str, *, back: str | None = None, **more: Any) -> bool:
    """On or off; off is the default."""
    return _widget(st.toggle, key, asked(key) == "1", False, label, back=back, **more)


def pages(key: str, count: int) -> int:
    """Which page of so many; nothing is drawn where there is one."""
    value = number(key, 1, max(1, count))
    if count < 2:
        return 1
    place = f"{key}-{value}-{count}"  # its default would contradict a value in the session's state: each page has a widget of its own
    return st.pagination(count, default=value, key=place, on_change=_turn, args=(key, place))


def _turn(key: str, place: str) -> None:
    value = st.session_state[place]
    go(**{key: str(value) if value > 1 else None})
