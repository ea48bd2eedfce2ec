"""Which isolation candidates really get: measured from within, by a job that takes the way of every other job.

Nothing is believed because it was asked for. What a level needs and the probe does not find is named, so that a
sandbox that is weaker than the plan demands refuses to start and says why.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from loopwright.sandbox import Job, Limits
from loopwright.types import Level

__all__ = ["level_of", "lowest", "missing", "probe_job", "reaches"]

_ORDER: tuple[Level, ...] = get_args(Level)
_NAMESPACES = ("ipc", "mnt", "net", "pid", "uts")
"""Of its own in SL3. Where a user without privileges makes them, the user namespace is one, too."""

_SOURCE = """
import ctypes, os, resource, socket

def forks():
    try:
        child = os.fork()
    except OSError:
        return False
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return True

def opened():
    found = []
    for number in range(64):
        try:
            os.fstat(number)
        except OSError:
            continue
        found.append(number)
    return found

def refused(attempt, *values):
    try:
        attempt(*values)
    except OSError as error:
        return error.errno
    return 0

def executable():
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    found = libc.mmap(None, ctypes.c_size_t(4096), 5, 0x22, -1, ctypes.c_size_t(0))
    if found == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "mmap")

def probe(supervisor):
    asked = ctypes.CDLL(None).prctl
    kinds = ("AS", "CPU", "FSIZE", "CORE")
    return {
        "processes": sorted({os.getpid(), os.getppid(), supervisor}),
        "limits": {kind: resource.getrlimit(getattr(resource, "RLIMIT_" + kind))[0] for kind in kinds},
        "descriptors": opened(),
        "environment": sorted(name for name in os.environ if name not in ("PYTHONHASHSEED", "LC_CTYPE")),
        "no_new_privs": asked(39, 0, 0, 0, 0) == 1,
        "dumpable": asked(3, 0, 0, 0, 0) != 0,
        "leads_session": os.getsid(0) == os.getpid(),
        "root": os.geteuid() == 0,
        "forks": forks(),
        "filter": asked(21, 0, 0, 0, 0),
        "socket": refused(socket.socket),
        "execute": refused(os.execv, "/", ["/"]),
        "write": refused(os.open, "/", os.O_WRONLY),
        "read": refused(os.open, "/", os.O_RDONLY),
        "executable": refused(executable),
    }
"""


def probe_job(supervisor: int) -> Job:
    """The probe, given the supervisor's process id."""
    return Job(source=_SOURCE, entry="probe", inputs=(supervisor,))


def missing(level: Level, facts: Mapping[str, Any], limits: Limits) -> tuple[str, ...]:
    """What ``level`` needs and the probe did not find, in words; empty where it is reached.

    ``facts`` is the probe's answer and ``namespaces``: for each kind whether it's another than the supervisor's.
    """
    lacking: list[str] = []
    for needs_from, find in (("SL1", _first), ("SL2", _second), ("SL3", _third), ("SL4", _fourth)):
        if reaches(level, needs_from):
            lacking += [need for need, applied in find(facts, limits).items() if not applied]
    return tuple(lacking)


def _first(facts: Mapping[str, Any], limits: Limits) -> dict[str, bool]:
    wanted = {"AS": limits.memory_bytes, "CPU": limits.cpu_seconds, "FSIZE": 0, "CORE": 0}
    return {
        "a process of its own": len(facts["processes"]) == 3,
        "a session of its own": facts["leads_session"],
        "resource limits": all(0 <= facts["limits"][kind] <= value for kind, value in wanted.items()),
        "no file descriptor but its own": facts["descriptors"] == [0, 1, 2, 3],
        "an empty environment": facts["environment"] == [],
        "no_new_privs": facts["no_new_privs"],
        "memory that no other process may read": not facts["dumpable"],
    }


def _second(facts: Mapping[str, Any], limits: Limits) -> dict[str, bool]:
    """Each filter gives itself away by its own error: seccomp says EPERM before any other check, Landlock says EACCES."""
    tried = all(facts[attempt] == errno.EPERM for attempt in ("socket", "execute", "write", "executable"))
    return {
        "a system call filter (seccomp)": facts["filter"] == 2 and tried and not facts["forks"],
        "a file system filter (Landlock)": facts["read"] == errno.EACCES,
    }


def _third(facts: Mapping[str, Any], limits: Limits) -> dict[str, bool]:
    return {"namespaces": all(facts["namespaces"].get(kind, False) for kind in _NAMESPACES)}


def _fourth(facts: Mapping[str, Any], limits: Limits) -> dict[str, bool]:
    """An adapter that runs the whole pool elsewhere would have to say it; none is built in, and none was tested."""
    return {"gVisor or a virtual machine": False}


def level_of(facts: Mapping[str, Any], limits: Limits) -> Level:
    """The highest level of which nothing is missing; SL0 where SL1 isn't reached."""
    return max((level for level in _ORDER if not missing(level, facts, limits)), key=_ORDER.index)


def reaches(level: Level, minimum: Level) -> bool:
    """Whether ``level`` isolates at least as well as ``minimum``."""
    return _ORDER.index(level) >= _ORDER.index(minimum)


def lowest(levels: Iterable[Level]) -> Level:
    """The weakest of these."""
    return min(levels, key=_ORDER.index)
