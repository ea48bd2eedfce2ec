"""``cycles.yaml``: the maps from which ``dvc.yaml`` makes a stage of every phase, and the names of those stages.

``genesis`` holds c0000 once it has begun; ``cycles`` each later one and what it starts from; ``trained`` those that have a
challenger and ``empty`` those that were decided without; ``past`` the old ones, of which only the accepted rows, the
archive's link and the card stay versioned. Whole remain the last 100 cycles and every champion that these descend from, since the
cost of each command of DVC grows with the number of stages; the others come back by ``git checkout``. What is older still has a file
of this form in its volume (`loopwright.store.volumes`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from loopwright.errors import WorkspaceError
from loopwright.store import lockfile
from loopwright.store.files import write_atomic
from loopwright.store.hashing import FileStat
from loopwright.types import cycle_name, cycle_number

__all__ = [
    "FILE",
    "KEPT",
    "Item",
    "Maps",
    "declare",
    "item_of",
    "part",
    "plain",
    "read_cycles",
    "read_maps",
    "read_past",
    "stage_name",
    "stage_of",
    "write_cycles",
    "write_maps",
]

FILE = "cycles.yaml"
_UNTRAINED = ("examine", "decide")
"""Phases that there are without a challenger as well."""
KEPT = 100
"""Cycles that stay whole, champions apart."""

_HEAD = """\
# Written by loopwright, read by dvc.yaml. parent: the champion it starts from; prev: the cycle before it.
# trained: cycles with a challenger; empty: those decided without; past: those of which only rows and card stay here
# (`git checkout` of their commit brings the rest back).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What the stages of one cycle are made from."""

    parent: str
    """Cycle of the champion that it starts from."""
    prev: str
    """The cycle before it, promoted or not."""
    seed: int
    recipe: str = "recipes/none.diff"
    """Path of the recipe that was offered to it; an empty file where there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Maps:
    """The whole file."""

    genesis: tuple[str, ...] = ()
    cycles: Mapping[str, Item] = field(default_factory=dict)
    trained: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    past: tuple[str, ...] = ()


def read_cycles(root: Path) -> dict[str, Item]:
    """The cycles that are whole, oldest first (c0000 is not among them); WorkspaceError where the file is damaged."""
    return dict(read_maps(root).cycles)


def read_past(root: Path) -> tuple[str, ...]:
    """The cycles of which only the rows stay versioned, oldest first."""
    return read_maps(root).past


def write_cycles(root: Path, items: Mapping[str, Item], champion: str = "c0000") -> None:
    """Let ``items`` be the cycles. What is too old becomes the past; the champion and those it descends from never do.

    `loopwright.store.dvc.DvcStore.reload` makes the change known to DVC.
    """
    old = read_maps(root)
    whole = _whole(items, champion)
    past = _sorted({*old.past, *(name for name in items if name not in whole)})
    cycles = {name: items[name] for name in _sorted(whole)}
    trained, empty = (tuple(name for name in names if name in cycles) for names in (old.trained, old.empty))
    write_maps(root, replace(old, cycles=cycles, trained=trained, empty=empty, past=past))


def item_of(root: Path, cycle: str) -> Item:
    """What the stages of a cycle are made from, of a whole cycle here or in a volume; KeyError where it is in neither."""
    for folder in (root, *sorted((root / lockfile.VOLUMES).glob("*"))):
        if cycle in (found := plain(folder)["cycles"]):
            return Item(**found[cycle])
    raise KeyError(cycle)


def declare(root: Path, stage: str) -> str:
    """The DVC stage of a phase (see `stage_name`), entered in the file where it is not there yet.

    ``seed`` begins c0000, ``train@c0003`` makes c0003 a trained cycle, and ``examine@c0003`` or ``decide@c0003`` before that an empty one.
    WorkspaceError where the cycle is not in the file.
    """
    maps = read_maps(root)
    name = _name(maps, stage)
    phase, _, cycle = name.partition("@")
    if phase.partition("-")[0] == "seed":
        maps = replace(maps, genesis=(cycle,))
    elif cycle not in maps.cycles:
        raise WorkspaceError(f"{FILE} has no {cycle}", f"git checkout -- {FILE}")
    elif phase == "train":
        maps = replace(maps, trained=_sorted({*maps.trained, cycle}), empty=_sorted({*maps.empty} - {cycle}))
    elif phase.endswith("-empty"):
        maps = replace(maps, empty=_sorted({*maps.empty, cycle}))
    write_maps(root, maps)
    return name


def stage_of(phase: str, cycle: str) -> str:
    """What a phase of a cycle is called as a stage: ``train@c0003``; of c0000 ``seed``, ``seed-train`` and so on."""
    if cycle != cycle_name(0):
        return f"{phase}@{cycle}"
    return "seed" if phase == "seed" else f"seed-{phase}"


def stage_name(root: Path, stage: str) -> str:
    """The DVC stage of a phase: ``seed-train`` is ``seed-train@c0000``, and ``decide@c0003`` is ``decide-empty@c0003`` (so ``examine``)

    where no challenger was trained in c0003.
    """
    return _name(read_maps(root), stage)


def _name(maps: Maps, stage: str) -> str:
    phase, _, cycle = stage.partition("@")
    if not cycle:
        return f"{phase}@{cycle_name(0)}"
    return f"{phase}-empty@{cycle}" if phase in _UNTRAINED and cycle not in maps.trained else stage


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names, key=cycle_number))


def _whole(items: Mapping[str, Item], champion: str) -> set[str]:
    """The last cycles, and every champion in their ancestry."""
    waiting, whole = [*_sorted(items)[-KEPT:], champion], set[str]()
    while waiting:
        name = waiting.pop()
        if name in items and name not in whole:
            whole.add(name)
            waiting.append(items[name].parent)
    return whole


def part(maps: Maps, names: Collection[str]) -> Maps:
    """What the file says of these cycles; c0000 stays where it is."""
    cycles = {name: item for name, item in maps.cycles.items() if name in names}
    trained, empty, past = (tuple(n for n in told if n in names) for told in (maps.trained, maps.empty, maps.past))
    return Maps(cycles=cycles, trained=trained, empty=empty, past=past)


def plain(root: Path) -> dict[str, Any]:
    """The file as it is, as maps and lists; WorkspaceError where it is missing or no YAML."""
    import yaml  # late: the command line comes by here for --help

    try:
        return yaml.load((root / FILE).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    except FileNotFoundError as error:
        raise WorkspaceError(f"{root / FILE} does not exist", "go to a workspace, or make one: loopwright init") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise WorkspaceError(f"{root / FILE} is no YAML: {error}", f"git checkout -- {FILE}") from error


_seen: dict[Path, tuple[FileStat, Maps]] = {}
"""The file as it was last read: every phase comes by here several times, and the list of past cycles grows."""


def read_maps(root: Path) -> Maps:
    """The whole file; WorkspaceError where it is damaged."""
    path = root / FILE
    try:
        found = FileStat.of(path.stat()) if path.exists() else None
        if path in _seen and _seen[path][0] == found:
            return _seen[path][1]
        maps = _maps(plain(root))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise WorkspaceError(f"{root / FILE} is not as loopwright wrote it: {error}", f"git checkout -- {FILE}") from error
    _seen.clear()  # of one workspace at a time
    if found is not None:
        _seen[path] = found, maps
    return maps


def _maps(value: Mapping[str, Any]) -> Maps:
    cycles = {name: Item(**entry) for name, entry in value["cycles"].items()}
    lists = {key: tuple(value[key]) for key in ("genesis", "trained", "empty", "past")}
    starts = [name for item in cycles.values() for name in (item.parent, item.prev)]
    for name in (*cycles, *starts, *(name for names in lists.values() for name in names)):
        if cycle_name(cycle_number(name)) != name:
            raise ValueError(f"{name} is no cycle")
    return Maps(cycles={name: cycles[name] for name in _sorted(cycles)}, **lists)


def write_maps(root: Path, maps: Maps) -> None:
    """Let the file say this; one that does is left alone."""
    lines = [f"genesis: [{', '.join(maps.genesis)}]", f"past: [{', '.join(maps.past)}]"]
    lines += _map("cycles", {name: asdict(item) for name, item in maps.cycles.items()})
    starts = {name: {"parent": item.parent, "prev": item.prev} for name, item in maps.cycles.items()}
    lines += _map("trained", {name: starts[name] for name in maps.trained})
    lines += _map("empty", {name: {"prev": starts[name]["prev"]} for name in maps.empty})
    data, path = (_HEAD + "\n".join(lines) + "\n").encode(), root / FILE
    if not path.exists() or path.read_bytes() != data:
        write_atomic(path, data)
        _seen.clear()
        _seen[path] = FileStat.of(path.stat()), maps


def _map(name: str, entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One line a cycle, so that git shows one line added."""
    lines = [
        f"  {cycle}: {{{', '.join(f'{key}: {_scalar(value)}' for key, value in entry.items())}}}"
        for cycle, entry in entries.items()
    ]
    return [f"{name}:", *lines] if lines else [f"{name}: {{}}"]


def _scalar(value: str | int) -> str:
    plain = isinstance(value, str) and re.fullmatch(r"c\d{4,}|[a-z][\w.-]*(/[\w.-]+)+", value)
    return str(value) if plain else json.dumps(value, ensure_ascii=False)
