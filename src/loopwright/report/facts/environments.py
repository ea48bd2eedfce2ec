"""What it ran in: packages, processor, and whether that changed."""

from __future__ import annotations

import functools
from typing import Any

from loopwright.report.facts.binding import fact, table
from loopwright.report.facts.reading import Absent, Reader


@fact("env.lock")
def _lock(see: Reader) -> str:
    found = see.cycle.pins.get("lock")
    if found is None:
        raise Absent("lock")
    see.digests.add(found)
    return found


@fact("env.packages", "installed")
def _packages(see: Reader) -> Any:
    """What is installed here, where its digest is the one that the cycle's first entry has; else the record has no list."""
    lock, packages = _here()
    if lock != see.fact("env.lock"):
        raise Absent("lock")
    return table("package version", packages)


@functools.cache
def _here() -> tuple[str, list[tuple[str, str]]]:
    """Digest and list of this installation: hundreds of files are read for it, and a process that writes reports changes none."""
    from loopwright.identity import installed, lock_digest

    return lock_digest(), sorted(installed())


@fact("env.package_count", "installed")
def _package_count(see: Reader) -> int:
    return len(see.fact("env.packages")["rows"])


def _environment(path: str, key: str) -> None:
    def reading(see: Reader) -> Any:
        found = {str(see.phase(phase).environment[key]) for phase in see.cycle.phases if key in see.phase(phase).environment}
        return ", ".join(sorted(found)) or None

    fact(path)(reading)


_environment("env.python", "python")
_environment("env.cpu", "cpu")
_environment("env.container", "container")


@fact("env.changes", "derived")
def _changes(see: Reader) -> Any:
    rows, before = [], None
    for record in see.cycles():
        cpus = {str(see.phase(phase, record).environment.get("cpu")) for phase in record.phases}
        now = (record.pins.get("lock"), ", ".join(sorted(cpus)))
        if before is not None and now != before:
            rows.append([record.cycle, *now, record.opened_at])
        before = now
    return table("cycle lock cpu time", rows)
