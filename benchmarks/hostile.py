"""The hostile set shuffled into ten thousand good jobs at full load: is anyone fooled, is every good job right, how much slower.

    python benchmarks/hostile.py [--jobs 10000] [--levels SL2 SL3]

The same good jobs are run alone first, in the same process. Prints JSON; exits 1 where a case passed, a good job did not,
anything was reached beyond the process, or the throughput of good jobs fell by half or more.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> int:
    """Run the crowd at each level."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--levels", nargs="+", default=["SL2", "SL3"])
    options = parser.parse_args()
    good = True
    for level in options.levels:
        command = [sys.executable, "-m", "tests.hostile.crowd", "--level", level, "--jobs", str(options.jobs)]
        told = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
        kept = told["per_second_mixed"] / told["per_second_alone"]
        print(json.dumps({**told, "throughput_kept": round(kept, 3)}))
        right = told["right"] == told["right_alone"] == options.jobs
        good = good and right and kept > 0.5 and not (told["fooled"] or told["taken"] or told["harm"] or told["infra"])
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
