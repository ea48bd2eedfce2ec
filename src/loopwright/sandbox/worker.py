"""One zygote as the supervisor sees it: a process, a control socket, and the jobs that are in flight on it."""

from __future__ import annotations

import contextlib
import json
import platform
import select
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from loopwright.errors import InfraError
from loopwright.sandbox import Job, Limits, jail, seccomp
from loopwright.sandbox.wire import ENVELOPE_BYTES, job_frames
from loopwright.types import Level

__all__ = ["Flight", "Lost", "Worker"]

_SCRIPT = Path(__file__).with_name("zygote.py")
_ENVIRONMENT = jail.PLAIN_ENVIRONMENT
_START_SECONDS = 60.0
_PATIENCE = 9.0
"""Times its wall time that a candidate may wait, on top of it, for a processor that others use."""
_GRACE_SECONDS = 10.0
"""What a zygote may take beyond all that before it counts as hung."""
_END_SECONDS = 5.0
_REPORT_BYTES = 256
_GREETING_BYTES = 2048
_CHUNK = 2**16


class Lost(Exception):
    """The zygote died or hangs; its jobs have no verdict."""


@dataclass(slots=True, kw_only=True)
class Flight:
    """A job on its way through one child."""

    index: int
    """Its place in the batch."""
    job: Job
    attempt: int
    channel: socket.socket
    unsent: memoryview
    received: bytearray = field(default_factory=bytearray)
    listened: bool = False
    """Whether the supervisor's selector has the channel."""

    def send(self) -> bool:
        """Send what the channel takes; True when all is sent, or the child does not want it."""
        try:
            while self.unsent:
                self.unsent = self.unsent[self.channel.send(self.unsent) :]
        except BlockingIOError:
            return False
        except OSError:  # the child is gone, its report will say how
            self.unsent = memoryview(b"")
        return True

    def receive(self, limits: Limits) -> bool:
        """Take what has arrived; False once nothing more will be taken."""
        most = limits.output_bytes + ENVELOPE_BYTES
        try:
            while len(self.received) <= most:
                chunk = self.channel.recv(_CHUNK)
                if not chunk:
                    return False
                self.received += chunk
        except BlockingIOError:
            return True
        except OSError:
            return False
        with contextlib.suppress(OSError):
            self.channel.shutdown(socket.SHUT_RDWR)
        return False


def _command(level: Level, control: int, terms: str) -> list[str]:
    if level != "SL3":
        return jail.plain(_SCRIPT, control, terms)
    return jail.jailed(_SCRIPT, control, terms)


class Worker:
    """A zygote process. Whoever holds it calls `end`; it ends anyway with the thread that made it."""

    def __init__(self, limits: Limits, level: Level = "SL1") -> None:
        """Start a zygote that applies what ``level`` needs; what candidates really get is measured by `probe`.

        Raises:
            InfraError: there's no bubblewrap, no Python, or no filter for this machine.
        """
        patience = _PATIENCE * limits.wall_seconds
        self._longest = limits.wall_seconds + patience + _GRACE_SECONDS
        self._head_since = 0.0
        self.flights: deque[Flight] = deque()
        self.namespaces: Mapping[str, str] = {}
        filtered = level in {"SL2", "SL3"}
        steps = seccomp.program() if filtered else b""
        if steps is None:
            raise InfraError(f"there is no system call filter for {platform.machine()}", "run on x86-64 or aarch64")
        if level == "SL3" and jail.find_bubblewrap() is None:
            raise InfraError("bubblewrap is not installed", "apt-get install bubblewrap, or accept SL2")
        applied = {"patience_seconds": patience, "landlock": filtered, "seccomp": steps.hex()}
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = _command(level, theirs.fileno(), json.dumps(asdict(limits) | applied))
        try:
            self._process = subprocess.Popen(
                command,
                env=_ENVIRONMENT,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        except OSError as error:
            self.control.close()
            raise InfraError(f"the sandbox does not start: {error}", "loopwright doctor") from error
        finally:
            theirs.close()
        self._errors = cast(IO[bytes], self._process.stderr)

    @property
    def pid(self) -> int:
        """The zygote's process id; of a jailed one, its jail's: with it everything inside ends."""
        return self._process.pid

    def ready(self) -> None:
        """Wait until it serves; InfraError, with what it said, where it does not start."""
        self.control.settimeout(_START_SECONDS)
        try:
            told = self.control.recv(_GREETING_BYTES)
        except OSError:
            told = b""
        if told:
            self.namespaces = json.loads(told)
        else:
            self._process.kill()
            said = self._errors.read().decode(errors="replace").strip().rpartition("\n")[2]
            raise InfraError(f"the sandbox does not start: {said or 'it gives no reason'}", "loopwright doctor")
        self._errors.close()
        self.control.setblocking(False)

    def launch(self, index: int, job: Job, attempt: int, frames: bytes | None = None) -> Flight:
        """Hand a job to the zygote, as its own frames or as ``frames``; raises Lost where it is gone."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        unsent = memoryview(b"".join(job_frames(job)) if frames is None else frames)
        flight = Flight(index=index, job=job, attempt=attempt, channel=ours, unsent=unsent)
        if not self.flights:
            self._head_since = time.monotonic()
        self.flights.append(flight)
        try:
            with theirs:
                socket.send_fds(self.control, [b"job"], [theirs.fileno()])
        except OSError as error:
            raise Lost from error
        flight.send()
        return flight

    def awaited(self) -> Mapping[str, Any]:
        """`report`, waited for."""
        select.select([self.control], [], [], self._longest)
        report = self.report()
        if report is None:
            raise Lost
        return report

    def report(self) -> Mapping[str, Any] | None:
        """How the first job in flight ended; None where nothing is known yet; raises Lost where it never will be."""
        try:
            message = self.control.recv(_REPORT_BYTES)
        except BlockingIOError:
            if self.flights and time.monotonic() > self._head_since + self._longest:
                raise Lost from None
            return None
        except OSError as error:
            raise Lost from error
        if not message:
            raise Lost
        self._head_since = time.monotonic()
        return json.loads(message)

    def end(self) -> None:
        """End the zygote, which ends and reaps its candidate first; SIGKILL where it does not."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.send_signal(signal.SIGCONT)
        self.control.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()
        for flight in self.flights:
            flight.channel.close()
        self.flights.clear()
