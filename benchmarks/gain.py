"""What the loop gains, and what two control arms gain: seeds 0-4, sealed pass@1 of levels 4-8, champion after c0005 minus c0000.

    python benchmarks/gain.py --directory /tmp/gain            # runs what is missing (hours on one core), then tells
    python benchmarks/gain.py --check                          # recomputes the table from the per-task results that are kept

Per-task results are kept in ``benchmarks/results/gain/`` as Parquet; ``summary.json`` has the commit, the commands and the
figures. A seed's interval is the paired 95 % t interval over the tasks; the mean's is the t interval over the seeds.
Work runs in process, on one thread: artifacts do not depend on the executor.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
from scipy import stats

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "benchmarks" / "results" / "gain"
ARMS = ("loop", "human-only", "unverified")
HARD = 4
BAR = 0.20
LOOPWRIGHT = (sys.executable, "-m", "loopwright")


def commands(directory: Path, arm: str, seed: int) -> list[list[str]]:
    """What makes the workspace of one arm and seed."""
    main, place = directory / f"loop-{seed}", directory / f"{arm}-{seed}"
    if arm == "loop":
        options = ["--seed", str(seed), "--set", "runtime.profile=in-process", "--set", "runtime.sandbox_workers=1"]
        return [[*LOOPWRIGHT, "demo", "--directory", str(main), *options]]
    make = [sys.executable, "-m", "flows.controls", str(main), "--directory", str(place), "--arm", arm]
    return [make, [*LOOPWRIGHT, "run", "--workspace", str(place)]]


def turn(directory: Path, arm: str, seed: int) -> None:
    """Run one arm of one seed, unless its results are kept already."""
    if (KEPT / f"{arm}-{seed}-last.parquet").exists():
        return
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for command in commands(directory, arm, seed):
        log = directory / f"{arm}-{seed}.log"
        with log.open("ab") as file:
            subprocess.run(command, cwd=ROOT, env=environment, stdout=file, stderr=file, check=True)
    keep(directory / f"{arm}-{seed}", arm, seed)


def keep(workspace: Path, arm: str, seed: int) -> None:
    """Copy the per-task sealed results of the first model and of the champion, and the curve."""
    seen = json.loads(
        subprocess.run([*LOOPWRIGHT, "status", "--json", "--workspace", str(workspace)], capture_output=True, check=True).stdout
    )
    KEPT.mkdir(parents=True, exist_ok=True)
    for name, cycle in (("first", "c0000"), ("last", seen["champion"])):
        frame = pl.read_parquet(
            workspace / "cycles" / cycle / "evaluation" / "sealed.parquet", columns=["task", "level", "passed"]
        )
        frame.write_parquet(KEPT / f"{arm}-{seed}-{name}.parquet")
    curve = [[row["cycle"], row["decision"], row["gate"], row["sealed"], row["accepted"]] for row in seen["cycles"]]
    facts = {"champion": seen["champion"], "curve": curve, "pass_at": seen["cycles"][-1]["pass_at"]}
    (KEPT / f"{arm}-{seed}.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def gain(arm: str, seed: int) -> dict[str, Any]:
    """Paired gain on the hard tasks of the sealed suite, from the kept results."""
    first, last = (pl.read_parquet(KEPT / f"{arm}-{seed}-{name}.parquet") for name in ("first", "last"))
    both = first.join(last, on="task", suffix="_last").filter(pl.col("level") >= HARD)
    before, after = both["passed"].cast(pl.Int8).to_numpy(), both["passed_last"].cast(pl.Int8).to_numpy()
    value = float(after.mean() - before.mean())
    if (before == after).all():
        low = high = value
    else:
        low, high = map(float, stats.ttest_rel(after, before).confidence_interval(0.95))
    champion = json.loads((KEPT / f"{arm}-{seed}.json").read_text(encoding="utf-8"))["champion"]
    figures = {"first": float(before.mean()), "last": float(after.mean()), "value": value, "low": low, "high": high}
    return {
        "seed": seed,
        "champion": champion,
        "n": both.height,
        **{name: round(figure, 4) for name, figure in figures.items()},
    }


def summarise(seeds: Sequence[int]) -> dict[str, Any]:
    """All figures, from the kept results alone."""
    arms = {}
    for arm in ARMS:
        gains = [gain(arm, seed) for seed in seeds if (KEPT / f"{arm}-{seed}-last.parquet").exists()]
        if not gains:
            continue
        values = [one["value"] for one in gains]
        mean = sum(values) / len(values)
        half = float(stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)) if len(values) > 1 else None
        arms[arm] = {
            "mean": round(mean, 4),
            "low": None if half is None else round(mean - half, 4),
            "high": None if half is None else round(mean + half, 4),
            "n": len(values),
            "seeds": gains,
        }
    loop = arms.get("loop", {"mean": 0.0, "seeds": []})
    met = loop["mean"] >= BAR and all(one["low"] > 0 for one in loop["seeds"])
    return {"metric": "sealed pass@1, levels 4-8: champion after c0005 minus c0000", "bar": BAR, "met": met, "arms": arms}


def run_missing(directory: Path, seeds: Sequence[int], arms: Sequence[str], jobs: int) -> None:
    """Run what has no kept results yet: the loops first, since the arms fork from them."""
    directory.mkdir(parents=True, exist_ok=True)
    for group in (["loop"], [arm for arm in arms if arm != "loop"]):
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(lambda job: turn(directory, *job), [(arm, seed) for seed in seeds for arm in group]))


def main() -> int:
    """Run, or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, help="Where workspaces are made; without it only the summary is.")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--commit", help="What the runs were made with, where that is not HEAD.")
    options = parser.parse_args()
    if options.check:
        kept = json.loads((KEPT / "summary.json").read_text(encoding="utf-8"))
        seen = summarise(kept["seeds"])
        same = all(kept[key] == seen[key] for key in seen)
        print(json.dumps(seen["arms"]) if same else "the kept summary is not what the per-task results say")
        return 0 if same else 1
    if options.directory is not None:
        run_missing(options.directory, options.seeds, options.arms, options.jobs)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    commit = options.commit or head
    asked = [" ".join(["loopwright", *command[3:]]) for command in commands(Path("DIR"), "loop", 0)]
    asked += [
        "python -m flows.controls DIR/loop-SEED --directory DIR/ARM-SEED --arm ARM",
        "loopwright run --workspace DIR/ARM-SEED",
    ]
    summary = {"commit": commit, "commands": asked, "seeds": options.seeds, **summarise(options.seeds)}
    (KEPT / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(summary, indent=1))
    return 0 if summary["met"] else 1


if __name__ == "__main__":
    shutil.which("git") or sys.exit("git is needed")
    sys.exit(main())
