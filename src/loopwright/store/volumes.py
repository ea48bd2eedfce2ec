"""Old cycles bound into volumes: what ``dvc.yaml``, ``cycles.yaml`` and ``dvc.lock`` in the root say of them moves to ``past/<cycle>/``.

DVC keeps all that one ``dvc.yaml`` declares in one ``dvc.lock``, which is written anew for every stage and committed with every cycle: over
ten thousand cycles nine megabytes each time. A volume of `BOUND` cycles is written once and never changes. It has a ``dvc.yaml`` of its
own, with the stages that the root's had then, so `dvc pull`, `dvc status` and `dvc repro` take in volumes as they take in the rest.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from loopwright.store import cycles, lockfile
from loopwright.store.files import write_atomic
from loopwright.types import cycle_number

__all__ = ["BOUND", "FOLDER", "bind"]

FOLDER = lockfile.VOLUMES
BOUND = 200
"""Cycles in a volume."""
_HEAD = "# Written once by loopwright: the stages of cycles {} to {}, moved here from dvc.yaml in the root.\n"
_MAPS = {f"${{{name}}}" for name in ("cycles", "trained", "empty", "past")}


def bind(root: Path) -> bool:
    """Move the oldest cycles into a volume where there are enough that will not change any more; True where there were.

    Killed in between, it is done again: the volume is whole before anything is taken out of the root's files.
    """
    maps = cycles.read_maps(root)
    known = sorted({*maps.cycles, *maps.past}, key=cycle_number)
    chosen, rest = known[:BOUND], known[BOUND:]
    if len(rest) < cycles.KEPT:
        return False
    place, stages = root / FOLDER / chosen[-1], lockfile.names(root)
    cycles.write_maps(place, cycles.part(maps, chosen))
    lockfile.copy(root, place, [stage for stage in stages if stage.partition("@")[2] in chosen])
    write_atomic(place / "dvc.yaml", (_HEAD.format(chosen[0], chosen[-1]) + _stages(root)).encode())
    cycles.write_maps(root, replace(cycles.part(maps, rest), genesis=maps.genesis))
    lockfile.keep(root, [stage for stage in stages if stage.partition("@")[2] not in chosen])
    return True


def _stages(root: Path) -> str:
    """The root's stages that are made from the maps, as they are written two folders further down."""
    import yaml

    told = yaml.load((root / "dvc.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    named = [one if one == cycles.FILE or not isinstance(one, str) else f"../../{one}" for one in told.get("vars", [])]
    stages = {name: _below(stage) for name, stage in told["stages"].items() if stage.get("foreach") in _MAPS}
    return yaml.safe_dump({"vars": named, "stages": stages}, sort_keys=False)


def _below(stage: dict[str, Any]) -> dict[str, Any]:
    inner = stage["do"]
    return {**stage, "do": {**inner, "wdir": f"../../{inner['wdir']}" if "wdir" in inner else "../.."}}
