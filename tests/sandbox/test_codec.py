"""Data between two processes of an assert script: exact both ways, and nothing but data."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.sandbox.codec import DEEPEST, decode, encode

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
)
HASHABLE = st.recursive(LEAVES, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=6)
DATA = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(HASHABLE, inner, max_size=4)
        | st.sets(HASHABLE, max_size=4)
        | st.tuples(inner, inner)
    ),
    max_leaves=20,
)


def exact(value: Any) -> Any:
    """A form that tells all that `==` passes over: types, signs of zero, the order of a dict's keys."""
    if isinstance(value, (list, tuple)):
        return type(value), [exact(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return type(value), sorted(repr(exact(item)) for item in value)
    if isinstance(value, dict):
        return dict, [(exact(key), exact(item)) for key, item in value.items()]
    return type(value), repr(value)


@given(DATA)
def test_what_is_sent_arrives(value: Any) -> None:
    text = encode(value)
    assert exact(decode(text)) == exact(value)
    assert encode(decode(text)) == text


def test_floats_that_json_lacks() -> None:
    assert math.isnan(decode(encode(math.nan)))
    assert decode(encode([math.inf, -math.inf])) == [math.inf, -math.inf]


class Sly(int):
    __eq__ = lambda *_: True  # noqa: E731
    __hash__ = int.__hash__


@pytest.mark.parametrize(
    "value",
    [object(), Sly(3), [Sly(3)], {"a": Sly(1)}, OrderedDict(a=1), time.gmtime(0), print, type, range(3), bytearray(b"x"), 10**5000],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_is_no_data_is_not_sent(value: Any) -> None:
    with pytest.raises(TypeError, match="no plain data"):
        encode(value)


def test_nesting_has_an_end() -> None:
    deep: list[Any] = []
    for _ in range(DEEPEST + 1):
        deep = [deep]
    with pytest.raises(ValueError, match="nested too deeply"):
        encode(deep)


@pytest.mark.parametrize(
    "text",
    ["", "[", "NaN", "[1e999]", "{}", '{"t":[1],"t":[2]}', '{"t":[1],"d":[]}', '{"x":[]}', '{"t":5}', '{"s":[[1]]}', '{"d":[1]}', '{"d":[[1,2,3]]}',
     '{"d":[[1,2],[1,3]]}', '{"d":[[[],1]]}', '{"f":"1"}', '{"f":[1]}', '{"b":"x"}', '{"b":5}', '{"c":[1,2]}', '{"c":["a","b"]}', "[" * 100_000, "9" * 5000,
     '[{"t":' * 300 + "[]" + "}]" * 300],
)  # fmt: skip
def test_what_was_not_encoded_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # of any kind: the reader catches this one
        decode(text)


@given(st.text(alphabet='[]{}":,tsdzbcf0123456789.-eNaInfinity\\u ', max_size=60))
def test_any_text_is_data_or_refused(text: str) -> None:
    try:
        value = decode(text)
    except ValueError:
        return
    assert exact(decode(encode(value))) == exact(value)
