"""Times as the record writes them. The order of events goes by the log; a clock only says when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

__all__ = ["now", "rfc3339"]

Unit = Literal["seconds", "milliseconds", "auto"]


def rfc3339(moment: datetime, unit: Unit = "milliseconds") -> str:
    """RFC 3339 in UTC, for example ``2026-01-02T03:04:05.678Z``; ``auto``: with as many digits as it has."""
    return moment.astimezone(UTC).isoformat(timespec=unit).replace("+00:00", "Z")


def now(unit: Unit = "milliseconds") -> str:
    """By this machine's clock."""
    return rfc3339(datetime.now(UTC), unit)
