"""The process that forks candidates: a script of its own, which knows nothing of the loop and holds nothing of a job.

    python -s -S -P -B zygote.py CONTROL PARENT LIMITS

For each descriptor that arrives on the control socket it forks one child (`child`); the child reads the job from that
descriptor and answers on it. So no code, input or answer of any job is ever in this process, and a child starts from memory
that no other job has touched. The zygote watches the clock, kills, reaps, and reports how the child ended.

A child is told what to load (frame 1) and only then what to call it with (frame 2). Expected values are not sent at all.

This file imports the standard library and its neighbours `child` and `codec` only, and is run by path, never imported by the
package. What it imports is what a candidate can import, on every machine: there is no search path after that.
"""

from __future__ import annotations

import bisect  # noqa: F401 - for candidates
import collections  # noqa: F401
import copy  # noqa: F401
import functools  # noqa: F401
import gc
import hashlib  # noqa: F401
import heapq  # noqa: F401
import importlib
import itertools  # noqa: F401
import json
import operator  # noqa: F401
import os
import re  # noqa: F401
import resource
import signal
import socket
import string  # noqa: F401
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loopwright.sandbox import child
else:
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    child = importlib.import_module("child")

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
REAP_SECONDS = 5.0
SHORTEST_SECONDS = 0.01
KILL, TERM = int(signal.SIGKILL), int(signal.SIGTERM)
WATCHED = (signal.SIGCHLD, signal.SIGTERM)
NAMESPACES = ("ipc", "mnt", "net", "pid", "user", "uts")
SAMPLE = """def f(x):
 x=sorted(list(dict.fromkeys([v*2+1 for v in x if v%2==0 and v>0])))
 x=[sum(x[:i+1]) for i in range(len(x))]+[b-a for a,b in zip(x,x[1:])][::-1]
 return x
"""
SAMPLE_ROUNDS = 20
"""Enough for the interpreter to have specialised the code (PEP 659)."""


def wait(process: int, limits: dict[str, Any]) -> dict[str, Any]:
    """How the child ended; at its deadline it is killed, and when this process is to end. Both signals are blocked here."""
    started = time.monotonic()
    allowed = limits["wall_seconds"]
    late = ending = False
    while True:
        left = started + allowed - time.monotonic()
        if left > 0 and not ending:
            caught = signal.sigtimedwait(WATCHED, left)
            ending = caught is not None and caught.si_signo == TERM
        elif not ending and (extended := limits["wall_seconds"] + starved(process, limits)) > allowed + SHORTEST_SECONDS:
            allowed = extended
        else:
            late = True
            os.kill(process, KILL)
        done, status, usage = os.wait4(process, 0 if late else os.WNOHANG)
        if done:
            break
    reap()
    if ending:
        os._exit(0)
    code = os.waitstatus_to_exitcode(status)
    times = {"cpu": usage.ru_utime + usage.ru_stime, "seconds": time.monotonic() - started}
    return {"how": "late" if late else "signal" if code < 0 else "exit", "code": abs(code), **times}


def starved(process: int, limits: dict[str, Any]) -> float:
    """Seconds for which the child was ready to run and no processor was free: a busy machine is not its fault."""
    try:
        with open(f"/proc/{process}/schedstat") as text:
            return min(int(text.read().split()[1]) / 1e9, limits["patience_seconds"])
    except (OSError, IndexError):  # a kernel without these statistics
        return 0.0


def reap() -> None:
    """Kill whatever a child left behind: orphans become ours, since this process is a subreaper."""
    give_up = time.monotonic() + REAP_SECONDS
    while time.monotonic() < give_up:
        try:
            done = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            return
        if done is None:
            for orphan in children():
                kill(orphan)
            signal.sigtimedwait((signal.SIGCHLD,), 0.01)
    os._exit(1)  # the supervisor starts afresh and tries the job again


def children() -> list[int]:
    """Process ids of all children."""
    with open(f"/proc/self/task/{os.getpid()}/children") as listing:
        return [int(pid) for pid in listing.read().split()]


def kill(process: int) -> None:
    """SIGKILL, unless it is gone already."""
    try:
        os.kill(process, KILL)
    except ProcessLookupError:
        return


def serve(control: socket.socket, limits: dict[str, Any]) -> None:
    """Fork a child for each job that arrives; return when the supervisor has gone."""
    zygote = os.getpid()
    limited = child.bounds(limits)
    seccomp = child.filter_of(bytes.fromhex(limits["seccomp"]))
    landlock = child.ruleset() if limits["landlock"] else None
    while True:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))  # between jobs there is nothing to clean up
        _, jobs, _, _ = socket.recv_fds(control, 16, 1)
        signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        if not jobs:
            return
        try:
            process = os.fork()
        except OSError:
            process = -1
        if process == 0:
            try:
                child.confine(jobs[0], limited, zygote, landlock, seccomp)
                child.candidate(limits)
            finally:
                os._exit(1)
        os.close(jobs[0])
        report = wait(process, limits) if process > 0 else {"how": "fork", "code": 0, "cpu": 0.0}
        control.send(json.dumps(report).encode())


def warm() -> None:
    """Do what every child does: memory that is set up before the fork need not be copied or filled after it."""
    for _ in range(SAMPLE_ROUNDS):
        resource.setrlimit(resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE))
        child.set_process(PR_SET_NO_NEW_PRIVS, 1)
        function = child.load({"source": SAMPLE, "entry": "f"})
        child.DECODE(",".join(child.called(function, value) for value in child.DECODE("[[1,2,3,4,-5]]")))


def namespaces() -> dict[str, str]:
    """Which namespaces this process and so its children are in; without /proc, none that could be told apart."""
    try:
        return {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in NAMESPACES}
    except OSError:
        return {}


def load_random() -> None:
    """Import `random` without its reseeding after a fork, so that every child draws the same numbers."""
    register, os.register_at_fork = os.register_at_fork, lambda **_: None
    try:
        import random
    finally:
        os.register_at_fork = register
    random.seed(0)


def main() -> None:
    """Set up what every child inherits, say that all is ready, and serve."""
    control = socket.socket(fileno=int(sys.argv[1]))
    child.set_process(PR_SET_PDEATHSIG, TERM)
    if os.getppid() != int(sys.argv[2]):
        return
    child.set_process(PR_SET_CHILD_SUBREAPER, 1)
    child.set_process(PR_SET_NO_NEW_PRIVS, 1)
    os.environ.pop("PWD", None)  # bubblewrap sets it
    os.dup2(0, 2)  # /dev/null: errors at start were for the supervisor, later ones are for nobody
    load_random()
    warm()
    sys.path.clear()
    gc.collect()
    gc.freeze()
    control.send(json.dumps(namespaces()).encode())
    serve(control, json.loads(sys.argv[3]))


if __name__ == "__main__":
    main()
