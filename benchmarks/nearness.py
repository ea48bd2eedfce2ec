"""Near-duplicates against a large archive: what the verify phase holds in memory, and what the second cycle saves.

    python benchmarks/nearness.py --archived 1000000

The archive is a few shards of texts of sixty words; a cycle's thousand rows are held against it twice, each time in a process of its
own: the first cuts every archived row into bands and keeps them, the second reads what was kept. Every tenth row differs from an
archived one by a word and has to be refused. Peak memory is the process's own (``VmHWM``), less what a phase without an archive takes.
Kept in ``benchmarks/results/nearness.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl

from loopwright.plugins import PhaseContext
from loopwright.sections import VerifySection
from loopwright.store.tables import ROWS, write_table
from loopwright.verify.nearness import NEAR, refuse_near

KEPT = Path(__file__).parent / "results" / "nearness.json"
SHARD, ASKED, WORDS, EVERY = 250_000, 1_000, 60, 10


def text(number: int, changed: bool = False) -> str:
    """Sixty words out of twenty thousand, drawn by the number."""
    draw = random.Random(number)
    words = [f"w{draw.randrange(20_000)}" for _ in range(WORDS)]
    return " ".join(["other", *words[1:]] if changed else words)


def archive(root: Path, rows: int) -> None:
    """Shards of human rows."""
    plain = dict.fromkeys(ROWS, "") | {"level": 1, "origin": "human"}
    for number, start in enumerate(range(0, rows, SHARD)):
        made = [plain | {"id": f"a{row}", "prompt": "p", "answer": text(row)} for row in range(start, min(start + SHARD, rows))]
        write_table(root / f"{number}" / "rows.parquet", ROWS, made)


def measured(root: Path) -> dict[str, Any]:
    """One cycle's rows against what lies at ``root``."""
    tables = [(path / "rows.parquet", f"sha256:{int(path.name):064x}") for path in sorted(root.glob("[0-9]*"))]
    archived = sum(pl.scan_parquet(path).select(pl.len()).collect().item() for path, _ in tables)
    answers = [text(row if row % EVERY == 0 else row + 10**9, changed=True) for row in range(ASKED)]
    frame = pl.DataFrame({"id": [f"r{row}" for row in range(ASKED)], "prompt": "p", "answer": answers})
    frame = frame.with_columns(reason=pl.lit(None, pl.String), detail=pl.lit(None, pl.String))
    context = PhaseContext(
        cycle="c0001",
        root=root,
        seed=1,
        output=root,
        scratch=root,
        domain=object(),  # type: ignore[arg-type]
        family=None,  # type: ignore[arg-type]
        executor=None,  # type: ignore[arg-type]
        sandbox=None,  # type: ignore[arg-type]
        progress=lambda *_: None,
        refs={"domain": {"name": "texts", "settings": {}}},
    )
    section = VerifySection(recipe_base="", human_floor=0.5, near_duplicate=0.8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.monotonic(), time.process_time()
    found = refuse_near(frame, tables, section, context)
    return {
        "archived": archived,
        "seconds": round(time.monotonic() - begun[0], 1),
        "cpu_seconds": round(time.process_time() - begun[1], 1),
        "mib_more": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10),
        "refused": found.filter(pl.col("reason") == NEAR).height,
        "cache_mib": round(sum(file.stat().st_size for file in (root / ".loopwright" / "near").iterdir()) / 2**20, 1),
    }


def main() -> int:
    """Measure, print and keep; exit 1 where a near row was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archived", type=int, default=1_000_000)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measured(options.measure)))
        return 0
    with tempfile.TemporaryDirectory(dir=Path(__file__).parents[1] / "build", prefix="near-") as made:
        archive(Path(made), options.archived)
        command = [sys.executable, __file__, "--measure", made]
        runs = [json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout) for _ in range(2)]
    result = {"load": round(os.getloadavg()[0], 1), "first": runs[0], "second": runs[1]}
    KEPT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result, indent=1))
    return 0 if all(run["refused"] == ASKED // EVERY for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
