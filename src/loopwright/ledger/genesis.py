"""The first entry of a log: who may sign what, under which plan, and that nothing came before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loopwright.ledger.principals import enrolment
from loopwright.types import Digest

__all__ = ["genesis"]


def genesis(
    *,
    workspace: str,
    name: str,
    demo: bool,
    plan: Digest,
    keys: Mapping[str, bytes],
    custody: str,
    forked_from: Mapping[str, Any] | None,
    created_at: str,
    persons: Mapping[str, bytes] | None = None,
) -> dict[str, Any]:
    """The predicate of the first entry, which enrols a key for every role; ``keys`` are raw public ones by role.

    ``persons``: those of a demonstration, by name, which is also their duty. Real ones are enrolled by entries of their own.
    """
    shown = [enrolment("person", key, custody, demo=demo, duties=[name]) for name, key in (persons or {}).items()]
    return {
        "workspace": workspace,
        "name": name,
        "demo": demo,
        "principals": [*(enrolment(role, key, custody, demo=demo) for role, key in keys.items()), *shown],
        "plan": plan,
        "policy": "none",
        "envelope": "none",
        "forked_from": dict(forked_from) if forked_from else None,
        "created_at": created_at,
        "event": "genesis",
    }
