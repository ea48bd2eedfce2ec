"""`loopwright recall` on a long loop: seconds of the whole command, on 500 cycles and 1,000,000 rows.

    python benchmarks/recall.py [--cycles 500] [--rows 1000000] [--repeats 5] [--output benchmarks/results/recall.json]

The loop is told, not trained: every entry is signed and has the inputs and outputs of a real one; shards, links of the archive,
models and their manifests are real files in the real format, the texts in them are made up. Recalled is what the first cycle
accepted, which nearly everything hangs on, and then a thousand single rows in shards all over. Each time is of a fresh copy, with
the index of rows missing (cold) or there (warm); ``load`` is what else ran, by CPU. Signing, publishing and the commit are part of it. Exits 1 where the upper limit
of a mean (95 % t interval) is over the bar.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scipy.stats import t as student

from loopwright.ledger import Ledger
from loopwright.phases import SPECS
from loopwright.store import git
from loopwright.store.archive import Link, Shard, write_link
from loopwright.store.artifacts import manifest_of, write_manifest
from loopwright.store.hashing import measure
from loopwright.store.tables import ROWS, write_table
from loopwright.types import Artifact, canonical, cycle_name, digest_value
from loopwright.workspace import Workspace, create

BAR = 5.0
TIME = "2026-01-02T03:04:05Z"
SINGLE = 1000
"""Rows that are recalled one by one."""


class Teller:
    """Writes a loop's record and the files that a recall looks at."""

    def __init__(self, workspace: Workspace, rows: int) -> None:
        self.root, self.rows = workspace.root, rows
        self.ledger: Ledger = workspace.ledger()
        self.made: dict[str, Artifact] = {}
        self.total = 0

    def cycle(self, number: int) -> None:
        """One cycle; every third is promoted."""
        name, prev = cycle_name(number), cycle_name(number - 1)
        parent = cycle_name((number - 1) // 3 * 3)
        first = number == 0
        opened = {
            "cycle": name, "parent": None if first else parent, "prev": None if first else prev, "seed": number,
            "plan": digest_value("plan"), "code": {"generator": digest_value("generator"), "judge": digest_value("judge")},
            "lock": digest_value("lock"), "commit": "none", "fence": 1, "recipe": None, "opened_at": TIME,
        }  # fmt: skip
        self.ledger.append("open", [], opened, role="controller", event=f"open:{name}")
        if first:
            self.phase(name, "seed", {"sources": self.told("sources", "sources")}, ("suites", "heldout", "accepted", "archive"))
            self.phase(name, "train", self.of(name, "archive"), ("model",))
            self.phase(name, "evaluate", self.of(name, "model", "suites"), ("evaluation",))
            self.phase(name, "examine", self.of(name, "model", "archive", "evaluation", "suites"), ("card",))
            self.phase(name, "decide", self.of(name, "evaluation", "card"), ("decision",), action="promote", reasons=["told"])
        else:
            self.later(name, parent, prev, promoted=number % 3 == 0)
        action = "promote" if number % 3 == 0 else "reject"
        champion = name if action == "promote" else parent
        closed = {"cycle": name, "action": action, "champion": champion, "closed_at": TIME}
        self.ledger.append("close", [], closed, role="controller", event=f"close:{name}")

    def later(self, name: str, parent: str, prev: str, *, promoted: bool) -> None:
        """The phases of a cycle that is not the first."""
        recipe, held = {"recipe": self.told("recipe", "recipes/none.diff")}, self.of("c0000", "heldout")
        before = self.of(prev, "archive")
        self.phase(
            name, "generate", {**recipe, **self.of(parent, "model"), **self.of(prev, "accepted"), **held}, ("proposals",)
        )
        self.phase(name, "verify", {**self.of(name, "proposals"), **before, **held}, ("accepted",), accepted=self.rows)
        self.phase(name, "merge", {**before, **self.of(name, "accepted")}, ("archive",))
        self.phase(name, "train", {**self.of(parent, "model"), **self.of(name, "archive")}, ("model",), tokens=1)
        scored = {**self.of(parent, "evaluation"), **self.of(name, "model"), **self.of("c0000", "suites")}
        self.phase(name, "evaluate", scored, ("evaluation",))
        seen = {**self.of(prev, "card"), **self.of(name, "model", "accepted", "archive", "evaluation")}
        self.phase(name, "examine", seen, ("card",))
        used = {**self.of(name, "evaluation", "card"), **self.of(prev, "decision")}
        self.phase(name, "decide", used, ("decision",), action="promote" if promoted else "reject", reasons=["told"])

    def phase(self, cycle: str, phase: str, inputs: Mapping[str, Artifact], kinds: Sequence[str], **summary: Any) -> None:
        """Its outputs and its statement."""
        made = [self.output(cycle, kind, inputs) for kind in kinds]
        key = digest_value([cycle, phase])
        said = {
            "cycle": cycle, "phase": phase, "key": key, "attempt": 1, "config": digest_value("config"),
            "inputs": [{"name": name, "path": item.path, "digest": item.digest} for name, item in inputs.items()],
            "outputs": [{"name": one.kind, "kind": one.kind, "path": one.path, "digest": one.digest} for one in made],
            "summary": summary, "environment": {"host": "told", "executor": "in-process"}, "code": digest_value("code"),
            "lock": digest_value("lock"), "started_at": TIME, "finished_at": TIME, "seconds": 1.0,
        }  # fmt: skip
        self.ledger.append("phase", made, said, role=SPECS[phase].role, event=f"{key}:1")

    def output(self, cycle: str, kind: str, inputs: Mapping[str, Artifact]) -> Artifact:
        """Shards, links and models are files; of the others there is the digest."""
        path = f"cycles/{cycle}/{'decision.json' if kind == 'decision' else kind}"
        write = {"accepted": self.shard, "archive": self.link, "model": self.model}.get(kind)
        if write is None:
            return self.told(kind, path)
        place = self.root / path
        place.mkdir(parents=True)
        write(cycle, place, inputs)
        manifest = measure(place, kind).manifest
        write_manifest(manifest_of(place), manifest)
        return self.told(kind, path, manifest.digest)

    def shard(self, cycle: str, place: Path, inputs: Mapping[str, Artifact]) -> None:
        """Rows by the model that the cycle started from."""
        model = inputs["proposals"].digest if "proposals" in inputs else "human"
        licence = "Apache-2.0" if model == "human" else "LicenseRef-model-output"
        rows = [
            {
                "id": digest_value([cycle, number])[7:23], "task": digest_value([cycle, number // 2])[7:23],
                "prompt": f"add {number} sort", "answer": f"x=sorted(v+{number} for v in x)", "level": number % 9,
                "origin": model, "licence": licence, "signature": "", "cycle": cycle,
                "prompt_digest": digest_value(number), "verifier": "told/programs@1",
            }
            for number in range(self.rows)
        ]  # fmt: skip
        write_table(place / "rows.parquet", ROWS, rows)

    def link(self, cycle: str, place: Path, inputs: Mapping[str, Artifact]) -> None:
        """A link of the chain."""
        self.total += self.rows
        shard = self.made[f"{cycle} accepted"]
        own = Shard(path=shard.path, digest=shard.digest, rows=self.rows, human=0)
        write_link(place, Link(cycle=cycle, previous=inputs.get("archive"), shard=own, rows=self.total, human=0, recipe=None))

    def model(self, cycle: str, place: Path, _inputs: Mapping[str, Artifact]) -> None:
        """A few bytes: what is compared before the champion falls back to it."""
        (place / "model.safetensors").write_bytes(canonical(cycle))

    def told(self, kind: str, path: str, digest: str = "") -> Artifact:
        """An artifact, known by its cycle and kind from now on."""
        made = Artifact(kind=kind, digest=digest or digest_value([path]), path=path)
        if path.startswith("cycles/"):
            self.made[f"{path.split('/')[1]} {kind}"] = made
        return made

    def of(self, cycle: str, *kinds: str) -> dict[str, Artifact]:
        """A cycle's artifacts by kind."""
        return {kind: self.made[f"{cycle} {kind}"] for kind in kinds}


def told(directory: Path, cycles: int, rows: int) -> Workspace:
    """A workspace with so many cycles and rows."""
    workspace = create(directory, demo=True)
    teller = Teller(workspace, -(-rows // cycles))
    for number in range(cycles):
        teller.cycle(number)
        if number % 50 == 49:
            teller.ledger.publish()
    teller.ledger.sign_checkpoint()
    teller.ledger.close()
    git.commit(workspace.root, (".",), "a long loop")
    return workspace


def copied(source: Path, target: Path) -> Path:
    """A copy whose large files are links."""
    shutil.copytree(source, target, copy_function=os.link, ignore=shutil.ignore_patterns(".loopwright", ".git"))
    for name in (".loopwright", ".git"):
        shutil.copytree(source / name, target / name)
    return target


def seconds(root: Path, arguments: Sequence[str]) -> tuple[float, float, dict[str, Any]]:
    """Wall time and CPU time of one whole command with all that it starts, and its answer."""
    command = [
        sys.executable,
        "-m",
        "loopwright",
        "recall",
        *arguments,
        "--why",
        "benchmark",
        "--json",
        "--workspace",
        str(root),
    ]
    began, used = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    took, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    worked = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return took, worked, json.loads(done.stdout)


def measured(source: Path, place: Path, arguments: Sequence[str], repeats: int, *, warm: bool) -> dict[str, Any]:
    """Mean and 95 % t interval; the first time warms the page cache and doesn't count."""
    times, work, answer = list[float](), list[float](), dict[str, Any]()
    for number in range(repeats + 1):
        root = copied(source, place / f"copy-{number}")
        if not warm:
            shutil.rmtree(root / ".loopwright" / "trace", ignore_errors=True)
        took, worked, answer = seconds(root, arguments)
        times.append(took)
        work.append(worked)
        shutil.rmtree(root)
    times, work = times[1:], work[1:]
    mean = statistics.mean(times)
    half = float(student.ppf(0.975, len(times) - 1)) * statistics.stdev(times) / len(times) ** 0.5
    reached = {kind: len(items) for kind, items in answer["affected"].items()}
    figures = {"seconds": round(mean, 2), "low": round(mean - half, 2), "high": round(mean + half, 2), "n": len(times)}
    figures["cpu_seconds"] = round(statistics.mean(work), 2)
    return {**figures, "affected": reached, "rows": answer["rows"], "champion": answer["champion"]["now"]}


def main() -> int:
    """Make the loop, then time the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=500)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        workspace = told(place / "long", options.cycles, options.rows)
        each = -(-options.rows // options.cycles)
        step = max(1, options.cycles * each // SINGLE)
        chosen = [divmod(number * step, each) for number in range(min(SINGLE, options.cycles * each // step))]
        ids = place / "ids.txt"
        ids.write_text("\n".join(digest_value([cycle_name(cycle), number])[7:23] for cycle, number in chosen))
        asked = {"artifact": ["c0001/accepted"], "rows": ["--rows", str(ids)]}
        found: dict[str, Any] = {"cold": {}, "warm": {}}
        for what, arguments in asked.items():
            found["cold"][what] = measured(workspace.root, place, arguments, options.repeats, warm=False)
        subprocess.run(
            [sys.executable, "-m", "loopwright", "lineage", "c0001/model", "--json", "--workspace", str(workspace.root)],
            check=True,
            capture_output=True,
        )
        for what, arguments in asked.items():
            found["warm"][what] = measured(workspace.root, place, arguments, options.repeats, warm=True)
        told_of = {"cycles": options.cycles, "rows": options.cycles * each, "entries": workspace.state().leaves}
    told_of["load"] = round(os.getloadavg()[0] / (os.cpu_count() or 1), 1)
    high = max(figures["high"] for group in found.values() for figures in group.values())
    result = json.dumps({**told_of, **found, "bar": BAR, "method": "mean of n whole commands, 95 % t interval"}, indent=1)
    print(result)
    if options.output:
        options.output.write_text(result + "\n", encoding="utf-8")
    return 0 if high <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
