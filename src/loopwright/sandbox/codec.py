"""Python data as text, exactly and only data: what crosses between a test script's process and its subject's.

JSON in which every list is a list and every object a tag: ``{"t": [...]}`` tuple, ``{"s": [...]}`` set, ``{"z": [...]}`` frozen set,
``{"d": [[key, value], ...]}`` dict, ``{"b": hex}`` bytes, ``{"c": [real, imaginary]}`` complex, ``{"f": name}`` a float that JSON does not have.
Exact types alone: a subclass is refused, since its methods would run where it arrives. Standard library only: it runs in both.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

__all__ = ["DEEPEST", "decode", "encode"]

DEEPEST = 100
"""Nesting beyond which data is refused."""
MOST_DIGITS = 4000
_DUMP = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_ODD_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_NAMED = {"t": tuple, "s": set, "z": frozenset}
_TAGS = {kind: tag for tag, kind in _NAMED.items()}
_CONTAINERS = frozenset({list, dict, *_TAGS})


def encode(value: Any) -> str:
    """The text of a value; equal values have equal texts (sets in the order of their texts).

    Raises:
        TypeError: something in it is no plain data, or an integer is too long.
        ValueError: it is nested too deeply.
    """
    return _DUMP(_tagged(value, 0))


def _tagged(value: Any, depth: int) -> Any:
    if depth > DEEPEST:
        raise ValueError("nested too deeply")
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int and value.bit_length() <= 3 * MOST_DIGITS:
        return value
    if kind is float:
        return value if math.isfinite(value) else {"f": repr(value)}
    if kind in _CONTAINERS:
        return _contained(value, kind, depth + 1)
    if kind is bytes:
        return {"b": value.hex()}
    if kind is complex:
        return {"c": [_tagged(part, depth + 1) for part in (value.real, value.imag)]}
    raise TypeError("no plain data")


def _contained(value: Any, kind: type, depth: int) -> Any:
    if kind is dict:
        return {"d": [[_tagged(key, depth), _tagged(item, depth)] for key, item in value.items()]}
    items = [_tagged(item, depth) for item in value]
    if kind is list:
        return items
    return {_TAGS[kind]: items if kind is tuple else sorted(items, key=_DUMP)}


def decode(text: str) -> Any:
    """The value of a text.

    Raises:
        ValueError: it is not what `encode` writes: bad JSON, an unknown or doubled tag, a NaN, an integer or nesting without end.
    """
    try:
        return _value(json.loads(text, object_pairs_hook=_tag, parse_constant=_refuse, parse_float=_finite), 0)
    except (RecursionError, TypeError) as error:
        raise ValueError("no plain data") from error


class _Tag(tuple[str, Any]):
    """A JSON object on its way to a value."""

    __slots__ = ()


def _tag(pairs: list[tuple[str, Any]]) -> _Tag:
    if len(pairs) != 1:
        raise ValueError("an object must be one tag")
    return _Tag(pairs[0])


def _value(value: Any, depth: int) -> Any:
    if depth > 2 * DEEPEST:
        raise ValueError("nested too deeply")
    if type(value) is list:
        return [_value(item, depth + 1) for item in value]
    if type(value) is not _Tag:
        return value
    tag, content = value
    if tag == "f":
        return _ODD_FLOATS[content] if content in _ODD_FLOATS else _refuse(content)
    if tag == "b":
        return bytes.fromhex(content)
    if type(content) is not list:
        raise ValueError("a tag without a list")
    items = [_value(item, depth + 1) for item in content]
    if tag in _NAMED:
        return _NAMED[tag](items)
    if tag == "d":
        found = dict(items)
        return found if len(found) == len(items) else _refuse("a doubled key")
    if tag == "c" and all(type(part) is float for part in items):
        return complex(*items)
    raise ValueError("an unknown tag")


def _refuse(found: Any) -> NoReturn:
    raise ValueError(f"no plain data: {found!r}"[:100])


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)
