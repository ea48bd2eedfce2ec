"""Ten million candidate rows through the verify phase's bookkeeping, with verdicts given.

    python benchmarks/bookkeeping.py --rows 1000000

Bars: at least 100,000 rows a second on two cores, at most 4 GiB of memory. What is measured is `loopwright.verify.verify` itself:
reading the shards, the schema (pandera, in pieces and once over all), matching tasks, held-out behaviours, suite text, repetitions
within the cycle and against the archive, reasons, limits, curriculum, and both tables on disk. What is not: making the rows
(another process), sampling, and judging: the domain gives verdicts by a glance at the answer, and what that alone takes is measured
beside it and printed. Of the rows about a third repeat others, a third are wrong, and some are of each other kind of refusal.
Peak memory is the process's own (``VmHWM``). Kept in ``benchmarks/results/bookkeeping.json``, a line a size.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from loopwright.domains.contamination import FILE, NGRAMS, rows_of
from loopwright.plugins import PhaseContext
from loopwright.sections import VerifySection
from loopwright.store.archive import describe, write_link
from loopwright.store.artifacts import manifest_of, seal, write_manifest
from loopwright.store.tables import ROWS, SIGNATURES, write_table
from loopwright.types import Check, Task, Verdict, canonical, digest_bytes

KEPT = Path(__file__).parent / "results" / "bookkeeping.json"
BAR_RATE, BAR_BYTES = 100_000, 4 * 2**30
SHARD = 1_000_000
"""Rows a shard of proposals."""
SAMPLES = 50
"""Answers a task."""
ARCHIVED = 20
"""A part in so many of the rows is in the archive already."""
_PASS, _FAIL = Verdict(status="PASS", level="data"), Verdict(status="FAIL", level="data", reason="hidden check 0")
_CHECK = Check(inputs=(0,), outputs=(0,))


@dataclass(frozen=True)
class Given:
    """A domain whose verdicts stand in the answers: those that begin with ``good`` pass."""

    def task(self, prompt: str) -> Task:
        """The task whose number the prompt ends with."""
        number = int(prompt.rpartition(" ")[2])
        return Task(
            id=f"{number:016x}",
            prompt=prompt,
            level=number % 8,
            signature=f"s{number}",
            checks={"visible": _CHECK, "hidden": _CHECK},
            slices={},
        )

    def judge(self, pairs: Sequence[tuple[Task, str]], purposes: Any, sandbox: Any, progress: Any = None) -> list[Verdict]:
        """By the first letter."""
        return [_PASS if answer[0] == "g" else _FAIL for _, answer in pairs]


@dataclass(frozen=True)
class NoSandbox:
    """Nothing runs."""

    level: str = "SL2"


def proposals(folder: Path, rows: int) -> None:
    """Shards of ``rows`` rows in all: a task for every fifty, and of their answers about a third each good, wrong and given twice."""
    folder.mkdir()
    for number, start in enumerate(range(0, rows, SHARD)):
        index = pl.int_range(start, min(start + SHARD, rows), eager=True)
        frame = pl.DataFrame({"n": index}).with_columns(t=pl.col("n") // SAMPLES, s=pl.col("n") % SAMPLES)
        answer = (
            pl.when(pl.col("n") % 997 == 0)
            .then(pl.lit(" "))
            .when(pl.col("s") % 3 == 0)
            .then(pl.format("good answer {} to the question {}, with some words of its own", "s", "t"))
            .when(pl.col("s") % 3 == 1)
            .then(pl.format("wrong answer {} to the question {}, with some words of its own", "s", "t"))
            .otherwise(pl.format("good answer {} to the question {}, with some words of its own", pl.col("s") - 2, "t"))
        )
        prompt = pl.when(pl.col("n") % 991 == 0).then(pl.lit("no such thing x")).otherwise(pl.format("the question {}", "t"))
        task = pl.Series([f"{each:016x}" for each in frame["t"].unique(maintain_order=True).to_list()])
        ids = pl.DataFrame({"t": frame["t"].unique(maintain_order=True), "task": task})
        frame.join(ids, on="t", maintain_order="left").select(
            id=pl.format("r{}", "n"),
            task="task",
            prompt=prompt.str.replace("thing x", "thing"),
            level=(pl.col("t") % 8).cast(pl.Int32),
            sample=pl.col("s").cast(pl.Int32),
            answer=answer,
            tokens=pl.lit(12, dtype=pl.Int32),
            seed=pl.col("n").cast(pl.Int64),
        ).write_parquet(folder / f"shard-{number:05d}.parquet", compression="zstd", compression_level=3)
    weights = {str(level): 1.0 for level in range(8)}
    (folder / "generation.json").write_bytes(canonical({"model": "sha256:" + "7" * 64, "weights": weights}))


def workspace(root: Path, rows: int) -> None:
    """An archive of its own rows and some that the cycle repeats; and what the suites hold out."""
    first = root / "cycles" / "c0000"
    tasks = range(0, rows // SAMPLES, ARCHIVED)
    plain = dict.fromkeys(ROWS, "") | {"level": 1, "origin": "human", "licence": "CC0-1.0", "cycle": "c0000"}
    archived = [
        plain
        | {
            "id": f"a{task}-{sample}",
            "prompt": f"the question {task}",
            "answer": f"good answer {sample} to the question {task}, with some words of its own",
        }
        for task in tasks
        for sample in range(0, SAMPLES, 3)
    ]
    write_table(first / "accepted" / "rows.parquet", ROWS, archived)
    record(root, "accepted")
    (first / "archive").mkdir()
    write_link(first / "archive", describe(root, "c0000", None, "cycles/c0000/accepted", len(archived), len(archived)))
    record(root, "archive")
    held = [{"signature": f"s{number}", "suite": "gate"} for number in range(0, rows // SAMPLES, 401)]
    write_table(first / "heldout" / "signatures.parquet", SIGNATURES, held)
    text = "a suite asks with thirteen words and more of them than any row of this cycle may hold in one piece"
    suite = Task(id="0", prompt=text, level=1, signature="x", checks={}, slices={})
    write_table(first / "heldout" / FILE, NGRAMS, rows_of({"gate": [suite], "sealed": []}))


def record(root: Path, kind: str) -> None:
    """What a driver does with an output."""
    path = f"cycles/c0000/{kind}"
    write_manifest(manifest_of(root / path), seal(root / path, kind).manifest)


def measured(root: Path) -> dict[str, Any]:
    """The phase on what lies at ``root``, in this process: seconds, what became of the rows, the two tables' digest."""
    import pandera.polars  # noqa: F401 - its import is no bookkeeping

    from loopwright.verify import verify

    first = root / "cycles" / "c0000"
    inputs = {"proposals": root / "proposals", "archive": first / "archive", "heldout": first / "heldout"}
    context = PhaseContext(
        cycle="c0001",
        root=root,
        seed=1,
        output=root / "out",
        scratch=root,
        domain=Given(),  # type: ignore[arg-type]
        family=None,  # type: ignore[arg-type]
        executor=None,  # type: ignore[arg-type]
        sandbox=NoSandbox(),  # type: ignore[arg-type]
        progress=lambda *_: None,
        refs={"domain": {"name": "programs", "settings": {}}},
    )
    section = VerifySection(recipe_base="", human_floor=0.5, per_task=12, scan=False, gold=0)
    before, cpu = time.monotonic(), _cpu()
    summary = verify(section, inputs, context)
    seconds, used = time.monotonic() - before, _cpu() - cpu
    tables = sorted((root / "out" / "accepted").glob("*.parquet"))
    return {
        "seconds": seconds,
        "cpu_seconds": used,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "accepted": summary["accepted"],
        "refused": summary["refused"],
        "tables": {path.name: digest_bytes(path.read_bytes())[:23] for path in tables},
        "bytes": {path.name: path.stat().st_size for path in tables},
    }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def kept(result: Mapping[str, Any]) -> None:
    """Beside the other sizes."""
    before = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {"runs": []}
    runs = [run for run in before["runs"] if run["rows"] != result["rows"]]
    runs = sorted([*runs, result], key=lambda run: run["rows"])
    KEPT.write_text(
        json.dumps({"bars": {"rows_per_second": BAR_RATE, "bytes": BAR_BYTES}, "runs": runs}, indent=1) + "\n", "utf-8"
    )


def main() -> int:
    """Measure one size in a process of its own, print and keep it; exit 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--threads", type=int, default=2, help="Polars' own; the bar is for two cores")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measured(options.measure)))
        return 0
    with tempfile.TemporaryDirectory(dir=Path(__file__).parents[1] / "build", prefix="bookkeeping-") as made:
        root = Path(made)
        workspace(root, options.rows)
        proposals(root / "proposals", options.rows)
        load = os.getloadavg()[0]
        done = subprocess.run(
            [sys.executable, __file__, "--measure", str(root)],
            env={**os.environ, "POLARS_MAX_THREADS": str(options.threads), "PYTHONPATH": str(Path(__file__).parents[1])},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    found = json.loads(done.stdout)
    rate = options.rows / found["seconds"]
    rows = found["accepted"] + sum(found["refused"].values())
    result = {
        "rows": options.rows,
        "threads": options.threads,
        "rows_per_second": round(rate),
        "rows_per_cpu_second": round(options.rows / found["cpu_seconds"]),
        "peak_gib": round(found["peak_bytes"] / 2**30, 2),
        "load_before": round(load, 1),
        "rows_out": rows,
        **found,
    }
    kept(result)
    print(json.dumps(result, indent=1))
    assert rows == options.rows, "a row is neither accepted nor refused"
    return 0 if rate >= BAR_RATE and found["peak_bytes"] <= BAR_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
