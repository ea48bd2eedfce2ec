"""How long a person waits before anything happens: `import loopwright` and `loopwright --help`, each in a fresh process.

Prints the median of several runs beside its bar and exits 1 where one is over it.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 7
EMPTY = [sys.executable, "-c", ""]
MEASURED = {
    "import loopwright": ([sys.executable, "-c", "import loopwright"], 0.3),
    "loopwright --help": ([str(Path(sys.executable).with_name("loopwright")), "--help"], 0.5),
}


def median_seconds(command: list[str]) -> float:
    """Median wall time of a command over fresh processes, the first (cold caches) left out."""
    times = []
    for _ in range(RUNS + 1):
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - begun)
    return statistics.median(times[1:])


def main() -> int:
    """Measure, print, judge."""
    print(f"median of {RUNS} processes, seconds (an empty interpreter takes {median_seconds(EMPTY):.3f})")
    over = 0
    for name, (command, bar) in MEASURED.items():
        seconds = median_seconds(command)
        over += seconds > bar
        print(f"{name:20} {seconds:.3f}  bar {bar}  {'OVER' if seconds > bar else 'ok'}")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
