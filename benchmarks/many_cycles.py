"""A loop of ten thousand cycles: what recording a cycle costs, and how much memory the controller needs, as the record grows.

    python benchmarks/many_cycles.py --cycles 10000

Bars: recording cycle 10,000 takes at most 1.5 times what cycle 100 took; the controller's memory stays below 1 GiB. The driver is the
real one (`loopwright.session.open_run`, the workspace's own ``flows/loop.py``): ledger, DVC, git, manifests, leases, supervisor. Only
the phases are stubs: each writes a few bytes that differ from cycle to cycle. A model is promoted every ``--promote`` cycles.
Of each cycle the wall time and the processor time of the driver and of the git commands it starts are kept; a mark's figure is the median over the
twenty cycles that end there. The record goes on where a killed measurement left it (``--keep FOLDER``).

Ten thousand cycles take hours, so the way between two marks may be leapt over (``--leap``): the cycles between are copies of one that
the driver made, under names that follow each other, with everything that it leaves: signed entries, tiles, files, stages in ``dvc.lock``,
commits. The driver then makes the cycles of the mark's window itself. Kept in ``benchmarks/results/many_cycles.json``.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.status import BATCH, entries_of, renamed
from loopwright import run as running
from loopwright.committing import DRIVER_PATHS
from loopwright.ledger.ledger import Draft
from loopwright.plugins import PhaseContext
from loopwright.session import open_run
from loopwright.store import git
from loopwright.store.cycles import KEPT, read_maps, write_maps
from loopwright.store.lockfile import _found as lockfile_found
from loopwright.store.lockfile import _read as lockfile_read
from loopwright.store.lockfile import _write as lockfile_write
from loopwright.store.volumes import bind
from loopwright.types import canonical, cycle_name, cycle_number
from loopwright.workspace import Workspace, create, load_flow

RESULT = Path(__file__).parent / "results" / "many_cycles.json"
BAR_RATIO, BAR_BYTES = 1.5, 2**30
WINDOW = 12
"""Cycles that a mark's median is over."""
MARKS = (100, 300, 1_000, 3_000, 10_000)
PLAN = {
    "cycles": 1_000_000,
    "runtime.profile": "in-process",
    "runtime.energy": "none",
    "gate.card.unsafe_only_say": True,
    "verifier.accept": "unsafe_unverified",
}


@dataclass(slots=True)
class Stub:
    """In place of `loopwright.run.call_phase`: what a phase leaves, and nothing of its work."""

    promote: int

    def __call__(self, spec: Any, section: Any, inputs: Mapping[str, Path], context: PhaseContext) -> dict[str, Any]:
        """Write each output that the phase declares."""
        number = cycle_number(context.cycle)
        for name in spec.outputs:
            folder = context.output / name
            if name == "decision":
                (context.output / "decision.json").write_bytes(
                    canonical({"cycle": context.cycle, "action": self._action(number)})
                )
                continue
            folder.mkdir(parents=True)
            (folder / f"{name}.json").write_bytes(canonical({"cycle": context.cycle, "name": name, "seed": context.seed}))
            if name == "model":
                (folder / "recipe.yaml").write_bytes((context.root / "recipe.yaml").read_bytes())
        return self._summary(spec.function.rpartition(":")[2], number)

    def _action(self, number: int) -> str:
        return "promote" if number % self.promote == 0 else "reject"

    def _summary(self, phase: str, number: int) -> dict[str, Any]:
        match phase:
            case "verify":
                return {"accepted": 3, "refused": {"hidden check failed": 2}, "isolation": {"SL2": 5}, "solved": {"1": 0.6}}
            case "decide":
                return {"action": self._action(number), "reasons": ["the stub says so"], "lights": {}}
        return {"rows": number, "tokens": 10}


@dataclass(slots=True)
class Clock:
    """An observer: where the time of a cycle goes, by the step that ended."""

    cycles: dict[int, dict[str, float]] = field(default_factory=dict)
    file: Any = None
    _last: tuple[float, float] = (0.0, 0.0)
    _steps: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _begun: tuple[float, float] = (0.0, 0.0)

    def start(self) -> None:
        """Before the first cycle."""
        self._begun = self._last = now()

    def event(self, cycle: str, phase: str, step: str, facts: Mapping[str, Any]) -> None:
        """Add the processor time since the last event to this one's step; a commit ends the cycle."""
        here = now()
        self._steps[step] += here[1] - self._last[1]
        self._last = here
        if step != "committed":
            return
        kept = {"wall": here[0] - self._begun[0], "cpu": here[1] - self._begun[1], "rss": peak(), **self._steps}
        self.cycles[cycle_number(cycle)] = kept
        print(
            json.dumps({"cycle": cycle_number(cycle), **{key: round(value, 4) for key, value in kept.items()}}), file=self.file
        )
        self.file.flush()
        self._steps.clear()
        gc.collect()
        self.start()

    def progress(self, cycle: str, phase: str, done: int, total: int, unit: str) -> None:
        """Nothing to draw."""


def now() -> tuple[float, float]:
    """Wall time, and processor time of this process and of those it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return time.monotonic(), sum(one.ru_utime + one.ru_stime for one in used)


def peak() -> int:
    """Bytes of memory that this process had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def leap(workspace: Workspace, until: int) -> None:
    """Let the record have ``until`` closed cycles: copies of the last one, which trained and was rejected."""
    root, state = workspace.root, workspace.state()
    last = state.cycles[str(state.last)]
    told = [(kind, role, subjects, said) for kind, role, subjects, said in entries_of(workspace, last.cycle)]
    blocks, maps = lockfile_read(root), read_maps(root)
    past, like = next((name, block) for name, block in lockfile_found(root, None) if name.startswith("past@"))
    whole = {name: block for name, block in blocks.items() if name.endswith(f"@{last.cycle}")}
    ledger = workspace.ledger()
    try:
        for number in range(cycle_number(last.cycle) + 1, until + 1):
            names = {last.cycle: "NEW", str(last.prev): "OLD"}
            back = {"NEW": cycle_name(number), "OLD": cycle_name(number - 1)}
            drafts = []
            for place, (kind, role, subjects, said) in enumerate(told):
                moved = renamed(renamed(said, names), back)
                if "key" in moved:
                    moved["key"] = f"sha256:{number:032x}{place:032x}"
                own = [replace(item, path=renamed(renamed(item.path, names), back)) for item in subjects]
                drafts.append(Draft(kind=kind, subjects=own, predicate=moved, role=role, event=f"leap:{number}:{place}"))
            ledger.append_many(drafts)
            _copied(root, last.cycle, cycle_name(number))
            older = cycle_name(number - KEPT)
            if older in maps.cycles and older != last.parent:
                blocks = {name: block for name, block in blocks.items() if not name.endswith(f"@{older}")}
                blocks[f"past@{older}"] = like.replace(past.partition("@")[2], older)
            blocks |= {
                name.replace(last.cycle, cycle_name(number)): renamed(renamed(block, names), back)
                for name, block in whole.items()
            }
            maps = _next(maps, cycle_name(number), older, last)
            if number % BATCH == 0 or number == until:
                ledger.publish()
                ledger.sign_checkpoint()
                lockfile_write(root, blocks)
                write_maps(root, maps)
                while bind(root):
                    blocks, maps = lockfile_read(root), read_maps(root)
                git.commit(root, DRIVER_PATHS, f"{cycle_name(number)}: copies")
    finally:
        ledger.close()


def _copied(root: Path, source: str, target: str) -> None:
    """A cycle's folder under another name; what DVC has is linked, as DVC does."""
    for path in sorted((root / "cycles" / source).rglob("*")):
        place = root / "cycles" / target / path.relative_to(root / "cycles" / source)
        if path.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        elif path.stat().st_nlink > 1:
            place.hardlink_to(path)
        else:
            place.write_bytes(path.read_bytes())


def _next(maps: Any, cycle: str, older: str, last: Any) -> Any:
    """``cycles.yaml`` with one more cycle, and one that became the past."""
    prev = cycle_name(cycle_number(cycle) - 1)
    cycles = {
        **maps.cycles,
        cycle: replace(maps.cycles[last.cycle] if last.cycle in maps.cycles else next(iter(maps.cycles.values())), prev=prev),
    }
    gone = older in cycles and older != last.parent
    kept = {name: item for name, item in cycles.items() if name != older or not gone}
    trained = tuple(name for name in (*maps.trained, cycle) if name in kept)
    return replace(maps, cycles=kept, trained=trained, past=tuple(dict.fromkeys((*maps.past, *([older] if gone else [])))))


def turned(folder: Path, cycles: int, promote: int, *, leaping: bool) -> dict[int, dict[str, float]]:
    """Turn until so many cycles are closed; what each cost, those of an earlier, killed measurement too."""
    root = folder / "loop"
    workspace = Workspace(root=root) if root.exists() else create(root, overrides={**PLAN, "name": "many"}, demo=True)
    log = folder / "cycles.jsonl"
    earlier = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    running.call_phase = Stub(promote)  # type: ignore[assignment]
    with log.open("a", encoding="utf-8") as file:
        clock = Clock(file=file)
        for mark in [one for one in MARKS if one < cycles] * leaping + [cycles]:
            if leaping and (closed := len(workspace.state().cycles) - 1) >= MARKS[0] + WINDOW // 2 and closed < mark - WINDOW:
                leap(workspace, mark - WINDOW - 1)
            with open_run(workspace, clock) as run:
                clock.start()
                load_flow(root)(run, mark + WINDOW // 2 if mark == MARKS[0] else mark)
    return {**{int(one["cycle"]): one for one in earlier}, **clock.cycles}


def told(cycles: Mapping[int, Mapping[str, float]], promote: int) -> dict[str, Any]:
    """Medians at the marks, their ratios to cycle 100's, and where the processor time goes."""
    marks = {}
    for mark in (one for one in MARKS if one in cycles):
        near = [cycles[number] for number in range(mark - WINDOW + 1, mark + 1) if number in cycles]
        names = sorted({name for one in near for name in one} - {"cycle"})
        marks[mark] = {name: round(statistics.median(one.get(name, 0.0) for one in near), 4) for name in names}
    first, last = marks[min(marks)], marks[max(marks)]
    return {
        "cycles": max(cycles),
        "promoted_every": promote,
        "ratio_cpu": round(last["cpu"] / first["cpu"], 3),
        "ratio_wall": round(last["wall"] / first["wall"], 3),
        "peak_mib": round(max(one["rss"] for one in cycles.values()) / 2**20),
        "load": round(os.getloadavg()[0], 1),
        "bars": {"ratio": BAR_RATIO, "bytes": BAR_BYTES},
        "marks": marks,
    }


def main() -> int:
    """Measure, print and keep; exit 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=10_000)
    parser.add_argument("--promote", type=int, default=50, help="a promotion every so many cycles")
    parser.add_argument("--leap", action="store_true", help="copy the cycles between the marks")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path(__file__).parents[1] / "build", prefix="many-") as made:
        folder = options.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        result = told(turned(folder, options.cycles, options.promote, leaping=options.leap), options.promote)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result, indent=1))
    return 0 if result["ratio_wall"] <= BAR_RATIO and result["peak_mib"] * 2**20 <= BAR_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
