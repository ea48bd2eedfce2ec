"""Puts up bait, runs the hostile set at one level, and tells what it got: verdicts, and every effect beyond the process.

    python -m tests.sandbox.range LEVEL [--jobs N] [--seed S]

Prints JSON. A script of its own so that a plain user can run it, too. With ``--jobs`` the set is shuffled into so many good
jobs, and the same good jobs are run alone before, in pieces of equal size.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from loopwright.sandbox import Job, Limits, Outcome, Sandbox, judge
from loopwright.sandbox.pool import open_sandbox
from loopwright.types import Check
from tests.sandbox.hostile import CASES, RIGHT, WRONG, reaches_out

SECRET = "lw-secret-2718281828"
DOUBLE = Check(inputs=([1, 2], [3]), outputs=([2, 4], [6]))
LIMITS = Limits(wall_seconds=1.0, cpu_seconds=1, memory_bytes=128 * 2**20, output_bytes=64 * 2**10)
MARK = "lw-hostile"
SHARED = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/")


@dataclass(slots=True, kw_only=True)
class Bait:
    """What a candidate might reach, and what would show that it did."""

    folder: Path
    names: Mapping[str, str]
    listeners: list[socket.socket]
    signals: list[int] = field(default_factory=list)

    def effects(self) -> list[str]:
        """What has happened beyond candidates' processes since the last look."""
        found = [f"signal {number}" for number in self.signals]
        self.signals.clear()
        for listener in self.listeners:
            with contextlib.suppress(BlockingIOError):
                if listener.type == socket.SOCK_DGRAM:
                    listener.recv(16)
                else:
                    listener.accept()
                found.append(f"reached {listener.getsockname()!r}")
        places = [self.folder, *(Path(place) for place in SHARED)]
        written = [path for place in places if place.is_dir() for path in place.glob(f"{MARK}*") if path != self.folder]
        for path in written:
            found.append(f"wrote {path}")
            path.unlink()
        return found


@contextlib.contextmanager
def bait() -> Iterator[Bait]:
    """Secret, key, module, link, listeners and a signal handler."""
    with tempfile.TemporaryDirectory(prefix="lw-range-") as place, contextlib.ExitStack() as stack:
        folder = Path(place)
        folder.chmod(0o777)
        os.environ["LW_SECRET"] = SECRET
        (folder / "key").write_text(SECRET)
        (folder / "bait.py").write_text(f"SECRET = {SECRET!r}\n")
        (folder / "link").symlink_to(SECRET)
        tcp, udp, unix, abstract = (
            stack.enter_context(socket.socket(family, kind))
            for family, kind in (
                (socket.AF_INET, socket.SOCK_STREAM),
                (socket.AF_INET, socket.SOCK_DGRAM),
                (socket.AF_UNIX, socket.SOCK_STREAM),
                (socket.AF_UNIX, socket.SOCK_STREAM),
            )
        )
        hidden = f"lw-{os.getpid()}"
        for listener, address in (
            (tcp, ("127.0.0.1", 0)),
            (udp, ("127.0.0.1", 0)),
            (unix, f"{place}/listener"),
            (abstract, f"\0{hidden}"),
        ):
            listener.bind(address)
            listener.setblocking(False)
            if listener is not udp:
                listener.listen()
        names = {
            "DIR": place,
            "PORT": str(tcp.getsockname()[1]),
            "UDP": str(udp.getsockname()[1]),
            "ABSTRACT": hidden,
            "PID": str(os.getpid()),
        }
        put = Bait(folder=folder, names=names, listeners=[tcp, udp, unix, abstract])
        signal.signal(signal.SIGUSR1, lambda number, _: put.signals.append(number))
        yield put


def sources(names: Mapping[str, str]) -> dict[str, str]:
    """The cases with the bait's names filled in."""
    filled = dict(CASES)
    for name, value in names.items():
        filled = {case: source.replace(f"@{name}@", value) for case, source in filled.items()}
    return filled


def job(source: str) -> Job:
    return Job(source=source, entry="f", inputs=DOUBLE.inputs)


def status(outcome: Outcome) -> str:
    return judge(outcome, [("visible", DOUBLE)]).status


def kin() -> set[int]:
    """All descendants of this process but zygotes and their jails."""
    return {process.pid for process in psutil.Process().children(recursive=True)}


def one_by_one(sandbox: Sandbox, put: Bait) -> dict[str, Any]:
    """Each case, and after it a good and a wrong job."""
    told: dict[str, Any] = {}
    for name, source in sources(put.names).items():
        before = kin()
        seen = sandbox.run([job(source), job(RIGHT), job(WRONG)])
        time.sleep(0.01)
        effects = put.effects()
        if len(left := kin() - before) and len(kin()) > len(before):
            effects.append(f"left {len(left)} processes")
        if reaches_out(source) and any(seen[0].outputs):
            effects.append(f"got {str(seen[0].outputs)[:200]}")
        if SECRET in str(seen[0].outputs):
            effects.append("got the secret")
        told[name] = {"status": status(seen[0]), "next": [status(each) for each in seen[1:]], "effects": effects}
    return told


def shuffled(sandbox: Sandbox, put: Bait, jobs: int, seed: int) -> dict[str, Any]:
    """The set among many good jobs, and the same good jobs alone: is each judged as it deserves, and how fast."""
    cases = list(sources(put.names).items())
    sandbox.run([job(RIGHT)] * 200)
    began = time.monotonic()
    alone = sandbox.run([job(RIGHT)] * jobs)
    alone_seconds = time.monotonic() - began
    mixed: list[tuple[str | None, str]] = [(None, RIGHT)] * jobs + cases
    random.Random(seed).shuffle(mixed)
    began = time.monotonic()
    seen = sandbox.run([job(source) for _, source in mixed])
    mixed_seconds = time.monotonic() - began
    judged = [(name, status(outcome)) for (name, _), outcome in zip(mixed, seen, strict=True)]
    return {
        "jobs": jobs,
        "cases": len(cases),
        "right_alone": sum(status(outcome) == "PASS" for outcome in alone),
        "right": sum(verdict == "PASS" for name, verdict in judged if name is None),
        "fooled": sorted(name for name, verdict in judged if name is not None and verdict == "PASS"),
        "infra": sum(verdict == "INFRA" for _, verdict in judged),
        "effects": put.effects(),
        "per_second_alone": round(jobs / alone_seconds, 1),
        "per_second_mixed": round(jobs / mixed_seconds, 1),
    }


def main() -> None:
    """Run the set, print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("level", choices=("SL1", "SL2", "SL3"))
    parser.add_argument("--jobs", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with bait() as put, open_sandbox(options.level, 2, LIMITS, level=options.level) as sandbox:
        told = shuffled(sandbox, put, options.jobs, options.seed) if options.jobs else one_by_one(sandbox, put)
    sys.stdout.write(json.dumps({"level": sandbox.level, "user": os.getuid(), "result": told}) + "\n")


if __name__ == "__main__":
    main()
