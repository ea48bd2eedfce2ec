"""The process that forks candidates: a script of its own, which knows nothing of the loop and holds nothing of a job.

    python -s -S -P -B zygote.py CONTROL PARENT LIMITS

For each descriptor that arrives on the control socket it forks one child; the child reads the job from that descriptor
and answers on it. So no code, input or answer of any job is ever in this process, and a child starts from memory
that no other job has touched. The zygote watches the clock, kills, reaps, and reports how the child ended.

A child is told what to load (frame 1) and only then what to call it with (frame 2). Expected values are not sent at all.

This file imports the standard library only, and is run by path, never imported by the package. What it imports is what
a candidate can import, on every machine: there is no search path after that.
"""

from __future__ import annotations

import bisect  # noqa: F401 - for candidates
import collections  # noqa: F401
import copy  # noqa: F401
import ctypes
import functools  # noqa: F401
import gc
import heapq  # noqa: F401
import itertools  # noqa: F401
import json
import math
import operator  # noqa: F401
import os
import re  # noqa: F401
import resource
import signal
import socket
import string  # noqa: F401
import sys
import time
from typing import Any, NoReturn

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
JOB = 3
"""Where a child finds its job."""
FIRST_CLOSED, LAST_CLOSED = 4, 2**16
NOBODY = 65534
OPEN_FILES = 32
STACK_BYTES = 8 * 2**20
REAP_SECONDS = 5.0
SHORTEST_SECONDS = 0.01
KILL, TERM = int(signal.SIGKILL), int(signal.SIGTERM)
WATCHED = (signal.SIGCHLD, signal.SIGTERM)
ENCODE = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
DECODE = json.JSONDecoder().decode
PLAIN = (int, bool, str, type(None))
SAMPLE = """def f(x):
 x=sorted(list(dict.fromkeys([v*2+1 for v in x if v%2==0 and v>0])))
 x=[sum(x[:i+1]) for i in range(len(x))]+[b-a for a,b in zip(x,x[1:])][::-1]
 return x
"""
SAMPLE_ROUNDS = 20
"""Enough for the interpreter to have specialised the code (PEP 659)."""

Bound = tuple[int, tuple[int, int]]
"""Kind, soft and hard limit."""

prctl = ctypes.CDLL(None, use_errno=True).prctl


def set_process(option: int, value: int) -> None:
    """One `prctl(2)` that must succeed."""
    if prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option})")


# ---------------------------------------------------------------------------------------------------- the child


def bounds(limits: dict[str, Any]) -> tuple[Bound, ...]:
    """Resource limits of every child; where this process is bound to less already, they are that."""
    wanted = {
        resource.RLIMIT_AS: (limits["memory_bytes"], limits["memory_bytes"]),
        resource.RLIMIT_CPU: (limits["cpu_seconds"], limits["cpu_seconds"] + 1),
        resource.RLIMIT_STACK: (STACK_BYTES, STACK_BYTES),
        resource.RLIMIT_NOFILE: (OPEN_FILES, OPEN_FILES),
        resource.RLIMIT_NPROC: (0, 0),
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_CORE: (0, 0),
    }
    ceilings = {kind: resource.getrlimit(kind)[1] for kind in wanted}
    return tuple(
        (
            kind,
            pair if ceilings[kind] == resource.RLIM_INFINITY else (min(pair[0], ceilings[kind]), min(pair[1], ceilings[kind])),
        )
        for kind, pair in wanted.items()
    )


def confine(job: int, limited: tuple[Bound, ...], zygote: int) -> None:
    """Leave the zygote behind: own session, one descriptor, no other user's rights, little of everything."""
    os.setsid()
    if job != JOB:
        os.dup2(job, JOB)
    os.closerange(FIRST_CLOSED, LAST_CLOSED)
    if os.geteuid() == 0:
        drop_root()
    for kind, pair in limited:
        resource.setrlimit(kind, pair)
    set_process(PR_SET_DUMPABLE, 0)
    set_process(PR_SET_PDEATHSIG, KILL)  # after the change of user, which would undo both
    if os.getppid() != zygote:
        os._exit(1)


def drop_root() -> None:
    """Become nobody; where that's not allowed, root within a user namespace stays what it is."""
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except PermissionError:
        return


def read_frame() -> Any:
    """The next JSON value: four bytes of length, then text."""
    return DECODE(read_exactly(int.from_bytes(read_exactly(4), "big")).decode())


def read_exactly(count: int) -> bytes:
    """Exactly that many bytes, and not one of what follows."""
    pieces = []
    while count:
        piece = os.read(JOB, count)
        if not piece:
            os._exit(1)
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def answer(status: str, outputs: str = "", detail: str = "") -> NoReturn:
    """Write the only frame that counts, and end."""
    text = f'{{"status":"{status}","detail":{ENCODE(detail)},"outputs":[{outputs}]}}'.encode()
    rest = memoryview(len(text).to_bytes(4, "big") + text)
    while rest:
        rest = rest[os.write(JOB, rest) :]
    os._exit(0)


def named(error: BaseException) -> str:
    """An error by its name alone: messages may hold addresses, which differ from run to run."""
    return type(error).__name__ if type(error).__module__ == "builtins" else "Exception"


def plain(value: Any) -> bool:
    """Exactly JSON's types, all the way down: no subclass, no tuple, no NaN."""
    kind = type(value)
    if kind is list:
        return all(map(plain, value))
    if kind is dict:
        return all(type(key) is str for key in value) and all(map(plain, value.values()))
    return kind in PLAIN or (kind is float and math.isfinite(value))


def load(frame: dict[str, Any]) -> Any:
    """Run the source as a module and find the entry."""
    namespace: dict[str, Any] = {"__name__": "candidate"}
    try:
        exec(compile(frame["source"], "<candidate>", "exec", dont_inherit=True), namespace)  # noqa: S102
        return namespace[frame["entry"]]
    except MemoryError:
        answer("MEMORY")
    except BaseException as error:  # noqa: BLE001
        answer("LOAD_ERROR", detail=named(error))


def called(function: Any, value: Any) -> str:
    """What the function returns, as JSON text, at once: nothing that runs later can change it."""
    try:
        output = function(value)
    except MemoryError:
        answer("MEMORY")
    except BaseException as error:  # noqa: BLE001
        answer("FAIL", detail=named(error))
    try:
        if plain(output):
            return ENCODE(output)
    except MemoryError:
        answer("MEMORY")
    except BaseException as error:  # noqa: BLE001
        answer("BAD_OUTPUT", detail=named(error))
    answer("BAD_OUTPUT", detail="TypeError")


def candidate(limits: dict[str, Any]) -> NoReturn:
    """One job, from its first frame to its answer."""
    function = load(read_frame())
    texts: list[str] = []
    size = 0
    for value in read_frame():
        texts.append(called(function, value))
        size += len(texts[-1]) + 1
        if size > limits["output_bytes"]:
            answer("OUTPUT_LIMIT")
    answer("PASS", ",".join(texts))


# ---------------------------------------------------------------------------------------------------- the zygote


def wait(child: int, limits: dict[str, Any]) -> dict[str, Any]:
    """How the child ended; at its deadline it is killed, and when this process is to end. Both signals are blocked here."""
    started = time.monotonic()
    allowed = limits["wall_seconds"]
    late = ending = False
    while True:
        left = started + allowed - time.monotonic()
        if left > 0 and not ending:
            caught = signal.sigtimedwait(WATCHED, left)
            ending = caught is not None and caught.si_signo == TERM
        elif not ending and (extended := limits["wall_seconds"] + starved(child, limits)) > allowed + SHORTEST_SECONDS:
            allowed = extended
        else:
            late = True
            os.kill(child, KILL)
        done, status, usage = os.wait4(child, 0 if late else os.WNOHANG)
        if done:
            break
    reap()
    if ending:
        os._exit(0)
    code = os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime
    return {"how": "late" if late else "signal" if code < 0 else "exit", "code": abs(code), "cpu": cpu}


def starved(child: int, limits: dict[str, Any]) -> float:
    """Seconds for which the child was ready to run and no processor was free: a busy machine is not its fault."""
    try:
        with open(f"/proc/{child}/schedstat") as text:
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
    limited = bounds(limits)
    while True:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))  # between jobs there is nothing to clean up
        _, jobs, _, _ = socket.recv_fds(control, 16, 1)
        signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        if not jobs:
            return
        try:
            child = os.fork()
        except OSError:
            child = -1
        if child == 0:
            try:
                confine(jobs[0], limited, zygote)
                candidate(limits)
            finally:
                os._exit(1)
        os.close(jobs[0])
        report = wait(child, limits) if child > 0 else {"how": "fork", "code": 0, "cpu": 0.0}
        control.send(json.dumps(report).encode())


def warm() -> None:
    """Do what every child does: memory that is set up before the fork need not be copied or filled after it."""
    for _ in range(SAMPLE_ROUNDS):
        resource.setrlimit(resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE))
        set_process(PR_SET_NO_NEW_PRIVS, 1)
        function = load({"source": SAMPLE, "entry": "f"})
        DECODE(",".join(called(function, value) for value in DECODE("[[1,2,3,4,-5]]")))


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
    set_process(PR_SET_PDEATHSIG, TERM)
    if os.getppid() != int(sys.argv[2]):
        return
    set_process(PR_SET_CHILD_SUBREAPER, 1)
    set_process(PR_SET_NO_NEW_PRIVS, 1)
    os.dup2(0, 2)  # /dev/null: errors at start were for the supervisor, later ones are for nobody
    load_random()
    warm()
    sys.path.clear()
    gc.collect()
    gc.freeze()
    control.send(b"ready")
    serve(control, json.loads(sys.argv[3]))


if __name__ == "__main__":
    main()
