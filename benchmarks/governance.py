"""What accountability costs: CPU-seconds inside govern, trace and ledger ÷ the CPU-seconds of the whole run that they are part of.

    python benchmarks/governance.py                          # five runs of the demo's loop, five cycles each: half an hour
    python benchmarks/governance.py --loop small --cycles 2  # a tiny loop: the same code, nearly no work to hide it behind

Bar: at most 3 % for the demo's loop, n >= 5. Method: a thread of the driver looks every 5 ms at every other thread's CPU clock
(`pthread_getcpuclockid`) and gives what was used since the last look to that thread's stack: it counts as governance where any
frame is in ``ledger/``, ``govern/``, ``trace/``, ``consent/`` or in the modules that work for them (`OURS`). Interpreter and
library start-up of the signing processes count whole. The run's CPU-seconds are those of the driver, without the looking thread,
and of every process below it, read twice a second; what a process used after its last reading is missed, which makes
the ratio larger. What came out is kept in ``benchmarks/results/governance.json``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import psutil

from loopwright.ledger.overview import student_95

BAR = 0.03
EVERY = 0.005
"""Seconds between two looks at the driver's threads."""
EVERY_TREE = 0.5
"""Seconds between two looks at the processes below it."""
KEPT = Path(__file__).parent / "results" / "governance.json"
PACKAGE = f"{os.sep}loopwright{os.sep}"
OURS = ("ledger/", "govern/", "trace/", "consent/", "supervisor.py", "budgets.py", "signed.py", "envelope.py", "needs.py")
SIGNER = "loopwright.ledger.signer"

SMALL: dict[str, Any] = {
    "domain.settings": {"suite_per_level": 4, "human_level_2": 60, "human_level_3": 60},
    "generator.tasks": 24,
    "examiner.draws": 32,
    "gate.card.unsafe_only_say": True,
    "verifier.accept": "unsafe_unverified",
}


def part_of(frame: Any) -> str | None:
    """The part of governance that a stack is in, or None: the innermost frame of ours decides which."""
    while frame is not None:
        _, found, inside = frame.f_code.co_filename.rpartition(PACKAGE)
        if found and inside.replace(os.sep, "/").startswith(OURS):
            return inside.replace(os.sep, "/").partition("/")[0].removesuffix(".py")
        frame = frame.f_back
    return None


class Meter:
    """CPU-seconds of this process by what its threads do, and of the processes below it."""

    def __init__(self) -> None:
        self.parts: Counter[str] = Counter()
        self.own = 0.0
        self.below: dict[tuple[int, float], tuple[bool, float]] = {}
        self._clocks: dict[int, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="meter", daemon=True)

    def __enter__(self) -> Self:
        self._began, self._mine = time.process_time(), 0.0
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.own = time.process_time() - self._began - self._mine

    def _watch(self) -> None:
        tree = 0.0
        while not self._ended.wait(EVERY):
            self._threads()
            if time.monotonic() - tree >= EVERY_TREE:
                tree = time.monotonic()
                self._tree()
        self._tree()
        self._mine = time.thread_time()

    def _threads(self) -> None:
        frames = sys._current_frames()  # noqa: SLF001  # the one way to see other threads' stacks
        for thread in threading.enumerate():
            if thread is self._thread or thread.ident is None or thread.ident not in frames:
                continue
            try:
                now = time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
            except OSError:  # it has just ended
                continue
            used = now - self._clocks.get(thread.ident, 0.0)
            self._clocks[thread.ident] = now
            part = part_of(frames[thread.ident])
            if part and used > 0:
                self.parts[part] += used

    def _tree(self) -> None:
        for child in psutil.Process().children(recursive=True):
            try:
                times, signs = child.cpu_times(), SIGNER in child.cmdline()
                self.below[child.pid, child.create_time()] = (signs, times.user + times.system)
            except psutil.Error:
                continue

    def said(self) -> dict[str, Any]:
        """Sums; ``ratio`` is the figure."""
        signing = sum(used for signs, used in self.below.values() if signs)
        total = self.own + sum(used for _, used in self.below.values())
        parts = {**self.parts, "signers": signing}
        governance = sum(parts.values())
        return {"governance": governance, "total": total, "ratio": governance / total, "parts": parts}


def turn_once(directory: Path, loop: str, cycles: int, seed: int) -> dict[str, Any]:
    """Make a workspace and turn it under the meter."""
    from loopwright.run import Observer
    from loopwright.session import open_run
    from loopwright.workspace import create, load_flow

    class Silent:
        def event(self, cycle: str, phase: str, step: str, facts: Mapping[str, Any]) -> None:
            """Shows nothing."""

        def progress(self, cycle: str, phase: str, done: int, total: int, unit: str) -> None:
            """Shows nothing."""

    silent: Observer = Silent()
    settings = {"seed": seed, "cycles": cycles, **(SMALL if loop == "small" else {})}
    workspace = create(directory, overrides=settings, demo=True)
    if loop == "small":
        recipe = (workspace.root / "recipe.yaml").read_text(encoding="utf-8")
        (workspace.root / "recipe.yaml").write_text(re.sub(r"steps: \d+", "steps: 100", recipe), encoding="utf-8")
        subprocess.run(["git", "commit", "-qam", "a small recipe"], cwd=workspace.root, check=True)
    with Meter() as meter:
        began = time.monotonic()
        with open_run(workspace, silent) as run:
            load_flow(workspace.root)(run, cycles)
        wall = time.monotonic() - began
    return {"seed": seed, "cycles": cycles, "wall_seconds": wall, "leaves": workspace.state().leaves, **meter.said()}


def main() -> None:
    """Each run in a process of its own; exit 1 where the demo's loop is above the bar."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--loop", choices=("demo", "small"), default="demo")
    parser.add_argument("--cycles", type=int, default=5)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one is not None:
        with tempfile.TemporaryDirectory() as place:
            print(json.dumps(turn_once(Path(place) / "lab", chosen.loop, chosen.cycles, chosen.one)))
        return
    runs = []
    for seed in range(chosen.runs):
        command = [sys.executable, __file__, "--loop", chosen.loop, "--cycles", str(chosen.cycles), "--one", str(seed)]
        runs.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]))
        print(
            f"seed {seed}: {runs[-1]['governance']:.2f} of {runs[-1]['total']:.1f} CPU-s = {runs[-1]['ratio']:.2%}", flush=True
        )
    ratios = [run["ratio"] for run in runs]
    mean, half = statistics.mean(ratios), math.inf
    if len(ratios) > 1:
        half = student_95(len(ratios) - 1) * statistics.stdev(ratios) / math.sqrt(len(ratios))
    result = {
        "loop": chosen.loop,
        "n": len(runs),
        "mean": mean,
        "low": mean - half if math.isfinite(half) else None,
        "high": mean + half if math.isfinite(half) else None,
        "bar": BAR,
        "machine": f"{os.cpu_count()} CPUs, Python {platform.python_version()}",
        "runs": runs,
    }
    KEPT.parent.mkdir(exist_ok=True)
    known = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    KEPT.write_text(json.dumps({**known, chosen.loop: result}, indent=1) + "\n", encoding="utf-8")
    print(f"{chosen.loop}: {mean:.2%} (95 % t interval ± {half:.2%}, n = {len(runs)}; bar {BAR:.0%})")
    sys.exit(chosen.loop == "demo" and mean > BAR)


if __name__ == "__main__":
    main()
