"""A workspace whose phases are a few bytes each, but whose git, DVC, manifests and archive are real."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from loopwright.store import git
from loopwright.store.archive import describe, write_link
from loopwright.store.artifacts import publish
from loopwright.store.cycles import Item, read_cycles, write_cycles
from loopwright.store.dvc import DvcStore
from loopwright.store.hashing import Sealed, seal
from loopwright.types import Artifact, cycle_name, cycle_number

REPOSITORY = Path(__file__).parents[2]
FIRST: Mapping[str, tuple[str, ...]] = {
    "seed": ("suites", "heldout", "accepted", "archive"),
    "train": ("model",),
    "evaluate": ("evaluation",),
    "examine": ("card",),
    "decide": ("decision",),
}
TURN: Mapping[str, tuple[str, ...]] = {
    "generate": ("proposals",),
    "verify": ("accepted",),
    "merge": ("archive",),
    "train": ("model",),
    "evaluate": ("evaluation",),
    "examine": ("card",),
    "decide": ("decision",),
}


def make(root: Path, remote: Path | str | None = None) -> DvcStore:
    """A fresh workspace with its first commit."""
    root.mkdir(parents=True)
    git.init(root)
    for name in ("dvc.yaml", "cycles.yaml"):
        shutil.copyfile(REPOSITORY / name, root / name)
    (root / "sources").mkdir()
    (root / "sources" / "human.jsonl").write_text('{"prompt": "a"}\n', encoding="utf-8")
    (root / "recipes").mkdir()
    (root / "recipes" / "none.diff").touch()
    store = DvcStore.init(root, remote or root.with_name(f"{root.name}-remote"))
    git.commit(root, ["."], "genesis")
    return store


def output(cycle: str, name: str) -> str:
    return f"cycles/{cycle}/{'decision.json' if name == 'decision' else name}"


def work(root: Path, cycle: str, name: str, scratch: Path) -> Path:
    """What a phase would write: different bytes for every cycle and name, the same each time."""
    made = scratch / Path(output(cycle, name)).name
    if name == "decision":
        made.write_text(json.dumps({"cycle": cycle}), encoding="utf-8")
        return made
    made.mkdir()
    if name == "archive":
        previous = f"cycles/{cycle_name(cycle_number(cycle) - 1)}/archive" if cycle != "c0000" else None
        write_link(made, describe(root, cycle, previous, f"cycles/{cycle}/accepted", 10, 10 if cycle == "c0000" else 1))
        return made
    (made / "rows.parquet").write_bytes(f"{cycle} {name} rows".encode() * 100)
    (made / "part").mkdir()
    (made / "part" / "shard-00000.parquet").write_bytes(f"{cycle} {name} shard".encode())
    return made


def run_phase(store: DvcStore, root: Path, cycle: str, phase: str) -> dict[str, Sealed]:
    """Work, seal, publish and record, as the driver does; what was sealed, by path."""
    config = root / "cycles" / cycle / "config" / f"{phase}.json"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(json.dumps({"cycle": cycle, "phase": phase}), encoding="utf-8")
    scratch = root / ".loopwright" / "scratch" / f"{phase}-{cycle}"
    scratch.mkdir(parents=True)
    names = (FIRST if cycle == "c0000" else TURN)[phase]
    done: dict[str, Sealed] = {}
    for name in names:
        made = work(root, cycle, name, scratch)
        done[output(cycle, name)] = seal(made, name)
        publish(made, root / output(cycle, name), done[output(cycle, name)])
    store.record(stage(phase, cycle), done)
    return done


def stage(phase: str, cycle: str) -> str:
    """As the driver names it."""
    if cycle != "c0000":
        return f"{phase}@{cycle}"
    return "seed" if phase == "seed" else f"seed-{phase}"


def turn(
    store: DvcStore, root: Path, cycle: str, parent: str = "c0000", prev: str = "c0000", phases: Iterable[str] = TURN
) -> dict[str, Sealed]:
    """A whole cycle and its commit."""
    if cycle != "c0000":
        items = read_cycles(root)
        items[cycle] = Item(parent=parent, prev=prev, seed=cycle_number(cycle) * 10**17)
        write_cycles(root, items, parent)
        store.reload()
    done: dict[str, Sealed] = {}
    for phase in FIRST if cycle == "c0000" else phases:
        done |= run_phase(store, root, cycle, phase)
    git.commit(root, ["cycles", "cycles.yaml", "dvc.lock"], cycle)
    return done


def artifact(path: str, sealed: Sealed) -> Artifact:
    return Artifact(kind=sealed.manifest.kind, digest=sealed.manifest.digest, path=path)
