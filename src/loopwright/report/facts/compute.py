"""Compute and energy: the account of `loopwright.report.compute`, under the names of this catalogue."""

from __future__ import annotations

from typing import Any

from loopwright.report.facts.binding import fact
from loopwright.report.facts.reading import Absent, Reader
from loopwright.report.facts.registry import areas

__all__ = ["account"]


def account(see: Reader) -> Any:
    """The account of the document's cycle, made once for all its facts."""
    from loopwright.report.compute import compute_facts

    kept = see.source.kept
    if "compute" not in kept:
        kept["compute"] = compute_facts(see.source.statements, see.cycle.cycle, _published(see))
    return kept["compute"]


def _published(see: Reader) -> tuple[str, ...]:
    """Paths of generated data that a person says is publicly accessible: all of it, or none."""
    if not see.maybe("gen.published"):
        return ()
    made = (record.artifact("proposals") for record in see.state.cycles.values())
    return tuple(item.path for item in made if item)


def _bind(path: str) -> None:
    def reading(see: Reader) -> Any:
        told = account(see).get(path)
        if told is None:
            raise Absent(path)
        see.leaf(*told.leaves)
        if not told.leaves and not path.startswith("compute.vector") and path != "compute.test_vectors":
            see.head()  # a nought over the whole record
        see.digests.update(told.digests)
        see.method = told.method
        return told.value

    fact(path, "estimated")(reading)


for _area in areas():
    if _area.id in {"compute", "energy"}:
        for _one in _area.names:
            _bind(_one.path)
