"""What hostile candidates must not touch: canaries around the process that runs them, and a look at which were.

Listeners (TCP, UDP, unix, abstract), a world-writable folder, a key file, a secret in the environment, a signal handler,
the processes that belong to this one, shared memory, the clock. `Surroundings.harm` names what happened since it was last asked.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

__all__ = ["Surroundings", "surroundings"]

_SHARED = (Path("/tmp"), Path("/dev/shm"), Path("/var/tmp"))
_SETTLE_SECONDS = 5.0


class Surroundings:
    """The canaries of one process; make them with `surroundings`."""

    def __init__(self, folder: Path) -> None:
        self.mark = f"loopwright-canary-{os.getpid()}"
        self._ipc_key = str(0x4C570000 + os.getpid() % 2**16)
        self.secret = secrets.token_hex(16)
        self.key = secrets.token_hex(16)
        self._open = folder / "open"
        self._keyfile = self._open / "key"
        self._unix = folder / "unix"
        folder.chmod(0o755)
        self._signals = 0
        self._listeners = self._listen()
        self._files = self._plant()
        self._clock = time.time() - time.monotonic()
        self._processes: int | None = None
        self._sessions: set[int] = set()

    def arm(self, source: str) -> str:
        """The source with the addresses of the canaries in it."""
        found: Mapping[str, str] = {
            "@OPEN@": str(self._open),
            "@KEYFILE@": str(self._keyfile),
            "@MARK@": self.mark,
            "@TCP@": str(self._listeners["tcp"].getsockname()[1]),
            "@UDP@": str(self._listeners["udp"].getsockname()[1]),
            "@ABSTRACT@": self.mark,
            "@IPC@": self._ipc_key,
            "@UNIX@": str(self._unix),
            "@DRIVER@": str(os.getpid()),
        }
        for name, value in found.items():
            source = source.replace(name, value)
        return source

    def taken(self, text: str) -> list[str]:
        """Which secrets are in what came out of a candidate."""
        wanted = {"environment secret": self.secret, "key": self.key, "passwd": "root:x:0", "reached": "REACHED"}
        return [name for name, value in wanted.items() if value in text]

    def harm(self) -> list[str]:
        """What happened to the machine since the last call; empty where nothing did."""
        looks: Mapping[str, Callable[[], bool]] = {
            "connected": self._connected,
            "signalled": self._signalled,
            "files": self._touched,
            "shared memory": self._ipc,
            "clock": lambda: abs(time.time() - time.monotonic() - self._clock) > 1,
            "processes": self._left,
        }
        return [name for name, look in looks.items() if look()]

    def calm(self) -> None:
        """Remember how many processes belong here when nothing is wrong."""
        self._processes = self._kin()

    def note_signal(self, _number: int, _frame: FrameType | None) -> None:
        """The handler of SIGUSR1."""
        self._signals += 1

    def close(self) -> None:
        """End the listeners and remove what cases left."""
        for listener in self._listeners.values():
            listener.close()
        self._plant()

    def _listen(self) -> dict[str, socket.socket]:
        made = {
            "tcp": (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            "udp": (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            "unix": (socket.AF_UNIX, socket.SOCK_STREAM, str(self._unix)),
            "unix datagrams": (socket.AF_UNIX, socket.SOCK_DGRAM, f"{self._unix}.dgram"),
            "abstract": (socket.AF_UNIX, socket.SOCK_STREAM, f"\0{self.mark}"),
        }
        listeners = {}
        for name, (family, kind, address) in made.items():
            listeners[name] = listener = socket.socket(family, kind)
            listener.bind(address)
            listener.setblocking(False)
            if kind == socket.SOCK_STREAM:
                listener.listen(8)
        for path in (self._unix, Path(f"{self._unix}.dgram")):
            path.chmod(0o777)
        return listeners

    def _connected(self) -> bool:
        return sum(map(_drained, self._listeners.values())) > 0

    def _signalled(self) -> bool:
        seen, self._signals = self._signals, 0
        return seen > 0

    def _inventory(self) -> dict[str, object]:
        """Mode, owner, size and times of the canary files, and whatever has the mark elsewhere."""
        marked = [path for place in _SHARED if place.is_dir() for path in place.glob(f"*{self.mark}*")]
        paths = [self._open, *self._open.rglob("*"), *marked]
        found: dict[str, object] = {}
        for path in paths:
            with suppress(FileNotFoundError):
                seen = path.lstat()
                size = 0 if stat.S_ISDIR(seen.st_mode) else seen.st_size
                found[str(path)] = (seen.st_mode, seen.st_uid, seen.st_nlink, size, seen.st_mtime_ns, seen.st_ctime_ns)
        return found

    def _plant(self) -> dict[str, object]:
        """Make the canary files, afresh where there were some."""
        shutil.rmtree(self._open, ignore_errors=True)
        for place in _SHARED:
            for path in place.glob(f"*{self.mark}*"):
                path.unlink()
        self._open.mkdir()
        self._keyfile.write_text(self.key)
        (self._open / "key-link").symlink_to("key")
        self._keyfile.chmod(0o644)
        self._open.chmod(0o777)
        return self._inventory()

    def _touched(self) -> bool:
        touched = self._inventory() != self._files
        if touched:
            self._files = self._plant()
        return touched

    def _ipc(self) -> bool:
        """Whether something with the canary's key is there; it is removed."""
        libc, found = ctypes.CDLL(None), False
        ends = {
            "shm": lambda each: libc.shmctl(each, 0, None),
            "sem": lambda each: libc.semctl(each, 0, 0),
            "msg": lambda each: libc.msgctl(each, 0, None),
        }
        for kind, end in ends.items():
            for line in _lines(f"/proc/sysvipc/{kind}"):
                key, identity, *_ = line.split()
                if key == self._ipc_key:
                    end(int(identity))
                    found = True
        return libc.mq_unlink(f"/{self.mark}".encode()) == 0 or found

    def _left(self) -> bool:
        """Whether there are other processes than before, once what is being ended has had time to."""
        give_up = time.monotonic() + _SETTLE_SECONDS
        while self._kin() != self._processes:
            if time.monotonic() > give_up:
                return True
            time.sleep(0.01)
        return False

    def _kin(self) -> int:
        """Processes that descend from this one, or were started by one that does: jails, zygotes and what they forked."""
        parents, groups = {}, {}
        for pid, (parent, session) in _processes():
            parents[pid], groups[pid] = parent, session
        ours, grew = {os.getpid()}, True
        while grew:
            fresh = {pid for pid, parent in parents.items() if parent in ours} - ours
            ours |= fresh
            grew = bool(fresh)
        self._sessions |= {groups[pid] for pid in ours if pid in groups} - {os.getsid(0)}
        return len(ours | {pid for pid, session in groups.items() if session in self._sessions})


def _drained(listener: socket.socket) -> int:
    """How many connections or messages had arrived."""
    count = 0
    with suppress(BlockingIOError):
        while True:
            if listener.type == socket.SOCK_STREAM:
                listener.accept()[0].close()
            else:
                listener.recv(64)
            count += 1
    return count


def _processes() -> Iterator[tuple[int, tuple[int, int]]]:
    """Every process with its parent and its session."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):
                words = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
                yield int(name), (int(words[1]), int(words[3]))


def _lines(path: str) -> list[str]:
    with suppress(OSError):
        return Path(path).read_text().splitlines()[1:]
    return []


@contextmanager
def surroundings() -> Iterator[Surroundings]:
    """Canaries for the length of a ``with`` block; the environment has a secret in it."""
    folder = Path(tempfile.mkdtemp(prefix="canaries-", dir="/tmp"))
    around = Surroundings(folder)
    os.environ["LOOPWRIGHT_CANARY"] = around.secret
    before = signal.signal(signal.SIGUSR1, around.note_signal)
    try:
        yield around
    finally:
        signal.signal(signal.SIGUSR1, before)
        del os.environ["LOOPWRIGHT_CANARY"]
        around.close()
        shutil.rmtree(folder, ignore_errors=True)
