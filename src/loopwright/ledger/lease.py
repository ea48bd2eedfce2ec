"""The workspace lease: at most one driver works on a workspace, and a driver that lost it can record nothing.

A row in the state database names its holder; each acquisition raises the fencing token, which `Ledger.append` checks in
the append's own transaction (Kleppmann 2016, "How to do distributed locking"). A thread renews the heartbeat. A holder
whose process is gone on this host is replaced at once, any other after the timeout.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from loopwright.clock import now
from loopwright.errors import InfraError, LeaseHeld, LoopwrightError
from loopwright.ledger.storage import Storage, lease_table

__all__ = ["Lease", "hold", "raise_token"]

HEARTBEAT_SECONDS = 5.0
TIMEOUT_SECONDS = 30.0


def _place() -> str:
    """Where a process id means something: this boot of this kernel, and the process-id namespace within it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return f"{socket.gethostname()}/{psutil.boot_time():.0f}"


def _started(pid: int) -> float | None:
    """When a process started (its own clock: only equality counts), or None where no live process has that id."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else float(fields[19])
    except OSError:
        pass
    if Path("/proc/self/stat").exists():
        return None
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).create_time()
    return None


def _now(connection: Connection) -> float:
    """Seconds; by the server's clock where several hosts share one, since their own may differ."""
    if connection.dialect.name == "sqlite":
        return time.time()
    return float(connection.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())").scalar_one())


def _gone(holder: Any, timeout: float, now: float) -> bool:
    if holder.pid is None:
        return True
    if holder.place == _place() and _started(holder.pid) != holder.process_started:
        return True
    return now - holder.heartbeat > timeout


def _held(holder: Any) -> LeaseHeld:
    return LeaseHeld(
        f"another driver works on this workspace: process {holder.pid} on {holder.host}, since {holder.since}",
        "wait for it to end, or stop it (kill the process), then run again",
    )


class Lease:
    """The right to change a workspace, as long as `check` does not raise."""

    def __init__(self, storage: Storage, token: int) -> None:
        self._storage = storage
        self.token = token
        """Rises with every acquisition: of two drivers, the one with the higher token is right."""

    def confirm(self, connection: Connection) -> None:
        """Within a transaction: renew the heartbeat, or raise InfraError where another driver took over."""
        mine = lease_table.c.token == self.token
        beat = update(lease_table).where(mine, lease_table.c.pid.is_not(None)).values(heartbeat=_now(connection))
        if connection.execute(beat).rowcount:
            return
        row = connection.execute(select(lease_table)).one()
        heir = f" to process {row.pid} on {row.host} at {row.since}" if row.pid else ""
        raise InfraError(
            f"this driver lost its lease (number {self.token}){heir}; it records nothing more",
            "it did not answer for too long; let the other driver go on, or run again when that has ended",
        )

    def check(self) -> None:
        """InfraError where another driver took over."""
        with self._storage.transaction() as snapshot:
            self.confirm(snapshot.connection)

    def keep(self, stop: threading.Event, interval: float) -> None:
        """Renew the heartbeat every ``interval`` seconds until ``stop``."""
        while not stop.wait(interval):
            # a full disk or a lost lease is told to whoever next uses the lease, not to this thread
            with contextlib.suppress(LoopwrightError):
                self.check()

    def release(self) -> None:
        """Leave the workspace to the next driver; nothing where it was lost already."""
        with contextlib.suppress(LoopwrightError), self._storage.transaction() as snapshot:
            mine = lease_table.c.token == self.token
            snapshot.connection.execute(update(lease_table).where(mine).values(pid=None))


def raise_token(connection: Connection, token: int) -> None:
    """See to it that the next acquisition is above ``token`` (a database that was rebuilt has forgotten its own)."""
    connection.execute(update(lease_table).where(lease_table.c.token < token).values(token=token))


def _acquire(storage: Storage, timeout: float) -> Lease:
    with storage.transaction() as snapshot:
        connection = snapshot.connection
        holder = connection.execute(select(lease_table)).one()
        if not _gone(holder, timeout, _now(connection)):
            raise _held(holder)
        me = {
            "token": holder.token + 1,
            "host": socket.gethostname(),
            "place": _place(),
            "pid": os.getpid(),
            "process_started": _started(os.getpid()),
            "since": now("seconds"),
            "heartbeat": _now(connection),
        }
        connection.execute(update(lease_table).values(**me))
    return Lease(storage, holder.token + 1)


@contextlib.contextmanager
def hold(storage: Storage, *, timeout: float = TIMEOUT_SECONDS, interval: float = HEARTBEAT_SECONDS) -> Iterator[Lease]:
    """Hold the lease for the length of a ``with`` block; LeaseHeld names who has it instead. Seconds."""
    lease = _acquire(storage, timeout)
    stop = threading.Event()
    thread = threading.Thread(target=lease.keep, args=(stop, interval), name="lease-heartbeat", daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        stop.set()
        thread.join()
        lease.release()
