"""What an attempt of a phase paid for, written down as it's paid: neither a failure nor a kill loses it."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loopwright.external import Price

__all__ = ["Spending", "spent"]

_FILE = "spent.jsonl"
_COUNTS = ("requests", "retries", "cached", "tokens_in", "tokens_out")


class Spending:
    """Appends to a file in a phase's scratch; shared by threads."""

    def __init__(self, scratch: Path, price: Price | None) -> None:
        self._path = scratch / _FILE
        self._price = price
        self._lock = threading.Lock()
        self.money = 0.0
        """Since this was made, in the price's currency."""

    def paid(self, tokens_in: int, tokens_out: int) -> None:
        """One answered request."""
        line: dict[str, Any] = {"requests": 1, "tokens_in": tokens_in, "tokens_out": tokens_out}
        if self._price is not None:
            line["money"] = (tokens_in * self._price.input + tokens_out * self._price.output) / 1e6
            line["currency"] = self._price.currency
        self._note(line)

    def count(self, **counts: int) -> None:
        """What was counted besides: ``requests`` that gave no answer, ``retries``, ``cached``."""
        self._note(counts)

    def _note(self, line: Mapping[str, Any]) -> None:
        with self._lock:
            self.money += line.get("money", 0.0)
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(handle, json.dumps(line).encode() + b"\n")
            finally:
                os.close(handle)


def spent(scratch: Path, *, forget: bool = False) -> dict[str, Any]:
    """``{"cost": …}`` with the sums of what was written down there, or nothing where nobody was asked.

    ``forget``: it is on the record now; what comes later is counted anew.
    """
    path = scratch / _FILE
    if not path.exists():
        return {}
    if forget:
        path.unlink()
        return {}
    lines = [_read(line) for line in path.read_text(encoding="utf-8").splitlines()]
    cost: dict[str, Any] = {name: sum(line.get(name, 0) for line in lines) for name in _COUNTS}
    by_currency: dict[str, list[float]] = {}
    for line in lines:
        if "money" in line:
            by_currency.setdefault(line["currency"], []).append(line["money"])
    if by_currency:
        cost["money"] = {currency: round(math.fsum(each), 9) for currency, each in sorted(by_currency.items())}
    return {"cost": {**cost, "method": "tokens as the endpoint counted them, times the plan's prices"}}


def _read(line: str) -> dict[str, Any]:
    """The last line may be half written, where the machine lost power."""
    try:
        return dict(json.loads(line))
    except ValueError:
        return {}
