"""The record: signed statements in an append-only Merkle log, and everything that is read from it.

Importing this package costs nothing; `Ledger`, `Lease` and `Statement` are loaded when they are first asked for, so a
signing process or an offline verification loads only what it needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loopwright.ledger.lease import Lease
    from loopwright.ledger.ledger import Ledger
    from loopwright.ledger.statement import Statement

__all__ = ["Lease", "Ledger", "Statement"]

_HOME = {"Ledger": "ledger", "Lease": "lease", "Statement": "statement"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
