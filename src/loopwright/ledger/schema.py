"""The fields that a statement must have, by kind: checked before it is signed and again when the record is verified.

More fields than these are allowed and kept. A kind that is not listed has no required fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["fields", "problems"]

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_CYCLE = re.compile(r"c\d{4,}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_INCIDENT = re.compile(r"inc-[0-9a-f]{8}")
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,59}")
_ABOUT = re.compile(r"loop|c\d{4,}|inc-[0-9a-f]{8}")

Test = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _like(pattern: re.Pattern[str]) -> Test:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _one_of(*words: str) -> Test:
    return lambda value: value in words


def _or_none(test: Test) -> Test:
    return lambda value: value is None or test(value)


def _or_word_none(test: Test) -> Test:
    return lambda value: value == "none" or test(value)


def _path(value: Any) -> bool:
    return isinstance(value, str) and not value.startswith("/") and ".." not in value.split("/")


def _shape(fields: Mapping[str, Test]) -> Test:
    return lambda value: isinstance(value, dict) and not _missing(fields, value)


def _list(test: Test) -> Test:
    return lambda value: isinstance(value, list) and all(map(test, value))


def _missing(fields: Mapping[str, Test], value: Mapping[str, Any]) -> list[str]:
    return [name for name, test in fields.items() if name not in value or not test(value[name])]


_digest, _cycle, _time, _name = _like(_DIGEST), _like(_CYCLE), _like(_TIME), _like(_NAME)
_principal = _shape({"id": _text, "role": _text, "kind": _text, "public_key": _text, "custody": _text})
_input = _shape({"name": _name, "path": _path, "digest": _digest})
_output = _shape({"name": _name, "kind": _text, "path": _path, "digest": _digest})
_brought = _shape({"cycle": _cycle, "phase": _text, "kind": _text, "path": _path, "digest": _digest})
_code = _shape({"generator": _digest, "judge": _digest})
_recipe = _or_none(_shape({"path": _path, "digest": _digest, "approval": _or_none(_whole)}))

_EVERY: Mapping[str, Test] = {"event": _text}

_FIELDS: Mapping[str, Mapping[str, Test]] = {
    "genesis": {
        "workspace": _text,
        "name": _text,
        "demo": _flag,
        "principals": _list(_principal),
        "plan": _digest,
        "policy": _or_word_none(_digest),
        "envelope": _or_word_none(_digest),
        "forked_from": _or_none(_object),
        "created_at": _time,
    },
    "open": {
        "cycle": _cycle,
        "parent": _or_none(_cycle),
        "prev": _or_none(_cycle),
        "seed": _whole,
        "plan": _digest,
        "code": _code,
        "lock": _digest,
        "commit": _text,
        "fence": _whole,
        "recipe": _recipe,
        "opened_at": _time,
    },
    "phase": {
        "cycle": _cycle,
        "phase": _text,
        "key": _text,
        "attempt": _whole,
        "config": _digest,
        "inputs": _list(_input),
        "outputs": _list(_output),
        "summary": _object,
        "environment": _object,
        "code": _digest,
        "lock": _digest,
        "started_at": _time,
        "finished_at": _time,
        "seconds": _number,
    },
    "failure": {
        "cycle": _cycle,
        "phase": _text,
        "key": _text,
        "attempt": _whole,
        "error": _text,
        "message": _text,
        "started_at": _time,
        "failed_at": _time,
    },
    "close": {"cycle": _cycle, "action": _text, "champion": _or_none(_cycle), "closed_at": _time},
    "rollback": {"cycle": _cycle},
    "enrol": {"principal": _principal, "enrolled_at": _time},
    "rotate": {"old": _text, "principal": _principal, "rotated_at": _time},
    "revoke": {"principal": _text, "effective": _whole, "reason": _text, "revoked_at": _time},
    "request": {
        "action": _text, "details": _object, "evidence": _list(_digest), "policy": _digest, "proposer": _text, "nonce": _text,
        "checkpoint": _shape({"size": _whole, "root": _text}), "workspace": _text,
        "quorum": _shape({"persons": _whole, "duties": _list(_text)}), "launchers": _list(_text), "requested_at": _time,
        "expires_at": _time,
    },
    "execute": {"request": _digest, "action": _text, "approvals": _list(_whole), "executed_at": _time},
    "reveal": {"request": _digest, "salt": _text, "revealed_at": _time},
    "halt": {"reason": _text, "halted_at": _time},
    "freeze": {"reason": _text, "frozen_at": _time},
    "recall": {"artifact": _digest, "reason": _text, "tainted": _list(_digest), "recalled_at": _time},
    "observation": {
        "model": _digest, "metric": _text, "value": _number, "low": _number, "high": _number, "n": _whole,
        "period": _list(_time), "source": _text, "observed_at": _time,
    },
    "incident": {"incident": _like(_INCIDENT), "act": _one_of("open", "update", "close"), "facts": _object, "told_at": _time},
    "answer": {
        "field": _like(_FIELD), "about": _like(_ABOUT), "version": _whole,
        "state": _one_of("statement", "confirmed", "not-applicable", "withdrawn"), "digest": _or_none(_digest),
        "media_type": _or_none(_text), "confirms": _or_none(_digest), "answered_at": _time,
    },
    "filing": {
        "file": _digest, "document": _text, "about": _like(_ABOUT), "language": _text, "audience": _text,
        "checkpoint": _whole, "state": _one_of("reviewed", "approved", "submitted"), "words": _or_none(_digest),
        "filed_at": _time,
    },
    "anchor": {"file": _path, "digest": _digest, "lines": _whole, "anchored_at": _time},
    "gc": {"cycles": _list(_cycle), "removed": _list(_object), "retention": _list(_object), "collected_at": _time},
    "reproduction": {"cycle": _cycle, "outcomes": _list(_object), "environment": _object, "reproduced_at": _time},
    "signature": {
        "cycle": _cycle, "file": _path, "digest": _digest, "public_key": _text, "algorithm": _text, "signed_at": _time,
    },
    "import": {"cycles": _list(_shape({"cycle": _cycle})), "champion": _cycle, "last": _cycle, "artifacts": _list(_brought)},
}  # fmt: skip


def fields() -> dict[str, tuple[str, ...]]:
    """Names of the required fields by kind, besides ``event``, which every predicate has."""
    return {kind: tuple(required) for kind, required in _FIELDS.items()}


def problems(kind: str, predicate: Mapping[str, Any]) -> list[str]:
    """Names of the fields that are missing or have an impossible value; empty where all is well."""
    return _missing(_EVERY, predicate) + _missing(_FIELDS.get(kind, {}), predicate)
