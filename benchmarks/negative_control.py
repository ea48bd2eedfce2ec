"""Negative control: a loop whose first model has only seen levels 1 and 2. Nothing that it turns out may be promoted.

    python benchmarks/negative_control.py                       # three cycles, some minutes on two cores
    python benchmarks/negative_control.py --cycles 2 --profile in-process

Such a model solves next to nothing of what it is asked (levels 4 to 8), so hardly a row is accepted and there is nothing to
learn from: a gate that promoted a challenger of it would promote noise. It runs the real command line. Bar: no cycle after
the first model's is promoted, and each says why; a halt is as good as a rejection. The decisions are kept in ``benchmarks/results/negative_control.json``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loopwright.errors import HaltedError

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "benchmarks" / "results" / "negative_control.json"
PLAN = {"domain.settings": "{human_level_3: 0}"}
LOOPWRIGHT = (sys.executable, "-m", "loopwright")
SCORES = ("value", "low", "high", "n", "method")


def turned(directory: Path, cycles: int, seed: int, profile: str | None) -> dict[str, Any]:
    """What ``loopwright status --json`` says after ``loopwright demo``, which may have halted; CalledProcessError where it failed."""
    chosen = {**PLAN, "cycles": str(cycles), **({"runtime.profile": profile} if profile else {})}
    settings = [word for key, value in chosen.items() for word in ("--set", f"{key}={value}")]
    command = [*LOOPWRIGHT, "demo", "--directory", str(directory), "--seed", str(seed), *settings]
    done = subprocess.run(command, stdout=sys.stderr, check=False)
    if done.returncode not in {0, HaltedError.exit_code}:
        raise subprocess.CalledProcessError(done.returncode, command)
    status = [*LOOPWRIGHT, "status", "--workspace", str(directory), "--json"]
    return json.loads(subprocess.run(status, stdout=subprocess.PIPE, check=True).stdout)


def told(seen: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Decision, reasons and scores of every cycle."""
    return [
        {
            "cycle": row["cycle"],
            "decision": row["decision"],
            "reasons": row["reasons"],
            "accepted": row["accepted"],
            "refused": sum(row["refused"].values()),
            "gate": row["gate"] and {key: row["gate"][key] for key in SCORES},
            "levels": {level: score["value"] for level, score in row["gate_levels"].items()},
            "gain": row["gain"],
        }
        for row in seen["cycles"]
    ]


def wrongs(rows: Sequence[Mapping[str, Any]], cycles: int) -> list[str]:
    """What is not as it must be."""
    later = rows[1:]
    found = [f"{row['cycle']} was promoted" for row in later if row["decision"] == "promote"]
    found += [f"{row['cycle']} does not say why" for row in later if not any(row["reasons"])]
    halted = bool(later) and later[-1]["decision"] == "halt"
    return found + ([f"{len(later)} of {cycles} cycles were turned"] if len(later) < cycles and not halted else [])


def main() -> int:
    """Turn the loop, print and keep its decisions; exit 1 where one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--profile", help="of the run; the plan's by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        rows = told(turned(Path(place) / "control", options.cycles, options.seed, options.profile))
    for row in rows:
        print(f"{row['cycle']} {str(row['decision']).upper()}: {'; '.join(row['reasons'])}")
    wrong = wrongs(rows, options.cycles)
    KEPT.write_text(json.dumps({"plan": PLAN, "seed": options.seed, "cycles": rows, "wrong": wrong}, indent=1) + "\n")
    print("\n".join(wrong) or f"nothing was promoted in {len(rows) - 1} cycles after the first model")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
