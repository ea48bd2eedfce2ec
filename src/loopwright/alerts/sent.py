"""Sends alerts to where a person wants them: mail, chat, pager, by apprise, as plain text.

The addresses hold secrets. They stand in a file of mode 0600, one a line, and nowhere else: not in the plan, the record, a log or a
message. Without that file nothing leaves the machine.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from loopwright.alerts.journal import Kept, note_sent
from loopwright.clock import now
from loopwright.errors import InfraError, UsageError

__all__ = ["ADDRESSES", "addresses", "addresses_file", "post", "send", "unsent", "words_of"]

ADDRESSES = "LOOPWRIGHT_ALERTS"
"""The environment's name for the file of addresses; ``.loopwright/alert-addresses`` of the workspace by default."""
PATIENCE = 20
"""Seconds that all addresses have together."""


def addresses_file(root: Path) -> Path:
    """Where the addresses are."""
    named = os.environ.get(ADDRESSES)
    return Path(named) if named else root / ".loopwright" / "alert-addresses"


def addresses(path: Path) -> tuple[str, ...]:
    """The addresses, none where there is no file. UsageError where others can read it: they would know the secrets."""
    try:
        with path.open(encoding="utf-8") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise UsageError(f"{path} can be read by others, and addresses hold secrets", f"chmod 600 {path}")
            lines = [line.strip() for line in file]
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({type(error).__name__})", "one apprise address a line, UTF-8") from error
    return tuple(line for line in lines if line and not line.startswith("#"))


def unsent(kept: Sequence[Kept]) -> tuple[Kept, ...]:
    """What stands and has not left yet."""
    return tuple(one for one in kept if one.cleared_at is None and one.sent_at is None)


def words_of(name: str, alerts: Sequence[Kept]) -> tuple[str, str]:
    """Title and body: our own sentences, names and numbers of the record."""
    critical = sum(one.level == "critical" for one in alerts)
    title = f"Loopwright {name}: {len(alerts)} alert{'s' if len(alerts) > 1 else ''}" + (
        f", {critical} critical" if critical else ""
    )
    lines = [f"{one.level}: {one.text}" for one in alerts]
    return title, "\n".join([*lines, "", "`loopwright alerts` and `loopwright status` have the rest."])


def send(root: Path, name: str, alerts: Sequence[Kept]) -> int:
    """Send them in one message to every address; how many addresses took it. It is noted where one did.

    Raises:
        UsageError: no address, one that is none, or a file that others can read.
        InfraError: no address took it.
    """
    if not alerts:
        _told(root)
        return 0
    took = post(root, *words_of(name, alerts))
    note_sent(root, [one.id for one in alerts], now("seconds"))
    return took


def post(root: Path, title: str, body: str) -> int:
    """Send a text to every address; how many addresses took it. Errors as of `send`."""
    told = _told(root)
    took = _notified(told, title, body)
    if not took:
        raise InfraError(f"none of {len(told)} addresses took it", "try one with the apprise command; it says why")
    return took


def _told(root: Path) -> tuple[str, ...]:
    path = addresses_file(root)
    told = addresses(path)
    if not told:
        raise UsageError(f"no addresses to send to in {path}", "write one apprise address a line into it, then `chmod 600`")
    return told


def _notified(told: Sequence[str], title: str, body: str) -> int:
    """Addresses that took the message."""
    import apprise

    took = 0
    with _silent():
        for number, address in enumerate(told, start=1):
            service = apprise.Apprise()
            if not service.add(address):
                raise UsageError(f"address {number} is none that apprise knows", "its documentation lists the forms")
            patience = PATIENCE / len(told)
            took += bool(service.notify(body=body, title=title, body_format=apprise.NotifyFormat.TEXT, timeout=patience))
    return took


@contextmanager
def _silent() -> Iterator[None]:
    """Apprise logs addresses where it fails, and the libraries under it the paths that they call: secrets, so none logs anything."""
    loggers = [logging.getLogger(name) for name in ("apprise", "urllib3", "requests", "asyncio")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
