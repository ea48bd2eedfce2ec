"""Which isolation candidates really get: measured from within, by a job that takes the way of every other job.

Nothing is believed because it was asked for. What a level needs and the probe does not find is named, so that a
sandbox that is weaker than the plan demands refuses to start and says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from loopwright.sandbox import Job, Limits
from loopwright.types import Level

__all__ = ["level_of", "lowest", "missing", "probe_job", "reaches"]

_ORDER: tuple[Level, ...] = get_args(Level)
_NOT_APPLIED: Mapping[Level, tuple[str, ...]] = {
    "SL2": ("a system call filter (seccomp)", "a file system filter (Landlock)"),
    "SL3": ("namespaces",),
    "SL4": ("gVisor or a virtual machine",),
}
"""What the levels above SL1 need and this version does not apply."""

_SOURCE = """
import ctypes, os, resource

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

def probe(supervisor):
    with open("/proc/self/status") as text:
        status = dict(line.split(":", 1) for line in text if ":" in line)
    kinds = ("AS", "CPU", "FSIZE", "CORE")
    return {
        "processes": sorted({os.getpid(), os.getppid(), supervisor}),
        "limits": {kind: resource.getrlimit(getattr(resource, "RLIMIT_" + kind))[0] for kind in kinds},
        "descriptors": opened(),
        "environment": sorted(name for name in os.environ if name not in ("PYTHONHASHSEED", "LC_CTYPE")),
        "no_new_privs": status["NoNewPrivs"].strip() == "1",
        "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) != 0,
        "leads_session": os.getsid(0) == os.getpid(),
        "root": os.geteuid() == 0,
        "forks": forks(),
    }
"""


def probe_job(supervisor: int) -> Job:
    """The probe, given the supervisor's process id."""
    return Job(source=_SOURCE, entry="probe", inputs=(supervisor,))


def missing(level: Level, facts: Mapping[str, Any], limits: Limits) -> tuple[str, ...]:
    """What ``level`` needs and the probe did not find, in words; empty where it is reached."""
    if not reaches(level, "SL1"):
        return ()
    wanted = {"AS": limits.memory_bytes, "CPU": limits.cpu_seconds, "FSIZE": 0, "CORE": 0}
    found = {
        "a process of its own": len(facts["processes"]) == 3,
        "a session of its own": facts["leads_session"],
        "resource limits": all(0 <= facts["limits"][kind] <= value for kind, value in wanted.items()),
        "no file descriptor but its own": facts["descriptors"] == [0, 1, 2, 3],
        "an empty environment": facts["environment"] == [],
        "no_new_privs": facts["no_new_privs"],
        "memory that no other process may read": not facts["dumpable"],
    }
    beyond = [need for above, needs in _NOT_APPLIED.items() if reaches(level, above) for need in needs]
    return (*(need for need, applied in found.items() if not applied), *beyond)


def level_of(facts: Mapping[str, Any], limits: Limits) -> Level:
    """The highest level of which nothing is missing; SL0 where SL1 isn't reached."""
    return max((level for level in _ORDER if not missing(level, facts, limits)), key=_ORDER.index)


def reaches(level: Level, minimum: Level) -> bool:
    """Whether ``level`` isolates at least as well as ``minimum``."""
    return _ORDER.index(level) >= _ORDER.index(minimum)


def lowest(levels: Iterable[Level]) -> Level:
    """The weakest of these."""
    return min(levels, key=_ORDER.index)
