"""Where the rows come from: origins with licences, and the provenance classes that the Commission's template asks about.

A source says its class in the first word of its ``origin`` in the plan, before a colon: ``public: NAME``, ``licensed:``, ``private:``,
``user:``, ``crawled:`` or ``other:``. What says none of these is not classified, and then no question about a class is answered
"no" by the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loopwright.report.facts.binding import fact, table
from loopwright.report.facts.lineage import shards
from loopwright.report.facts.reading import Absent, Reader

_CLASSES = ("crawled", "public", "licensed", "private", "user", "synthetic", "other")


def _sources(see: Reader) -> list[Mapping[str, Any]]:
    """The plan's sources as the seed phase's recorded configuration has them."""
    return list(see.config("seed", see.record("c0000"))["config"].get("sources", []))


def _class(origin: str) -> str:
    word = origin.partition(":")[0].strip().lower()
    return word if word in _CLASSES else "not classified"


@fact("dataset.sources")
def _its_sources(see: Reader) -> Any:
    rows = [[one["origin"], one["licence"], one["path"], _class(one["origin"])] for one in _sources(see)]
    return table("origin licence path origin_class", rows)


@fact("dataset.origins", "counted")
def _origins(see: Reader) -> Any:
    own = shards(see, see.cycle)
    total = sum(one.human + one.synthetic for one in own)
    human = sum(one.human for one in own)
    refs = see.plugin("domain", "seed", see.record("c0000"))["name"]
    rows: list[list[Any]] = [["human", f"domain {refs}" + (" and sources" if _sources(see) else ""), human, human / total]]
    rows += [["synthetic", f"model {row[0] or row[1] or row[2]}", row[5], row[6]] for row in see.fact("gen.generators")["rows"]]
    return table("origin_class origin rows share", rows)


@fact("dataset.origin_classes", "counted")
def _origin_classes(see: Reader) -> Any:
    """Rows of sources are not told apart by class in the record, so a class of sources has a yes and no number of its own."""
    used = {_class(one["origin"]) for one in _sources(see)}
    synthetic, total = see.fact("dataset.synthetic_rows"), see.fact("dataset.training_rows")
    rows = []
    for name in (*_CLASSES, "not classified"):
        count = synthetic if name == "synthetic" else None if name in used else 0
        rows.append(
            [
                name,
                bool(synthetic) if name == "synthetic" else name in used,
                count,
                count / total if count is not None else None,
            ]
        )
    human = see.fact("dataset.human_rows")
    rows.append(["made by the domain's program", not used or None, None if used else human, None if used else human / total])
    return table("origin_class used rows share", rows)


@fact("dataset.provenance")
def _provenance(see: Reader) -> list[str]:
    """Without numbers, for audiences that must not learn them; the rows that the domain's program makes are always there."""
    found = [row[0] for row in see.fact("dataset.origin_classes")["rows"] if row[1]]
    program = "made by the domain's program"
    return found if program in found else [*found, program]


def _used(see: Reader, name: str) -> bool | None:
    found = {row[0]: row[1] for row in see.fact("dataset.origin_classes")["rows"]}
    return True if found[name] else None if found["not classified"] else False


for _name in ("public", "licensed", "private", "user", "other"):
    fact(f"dataset.{_name}_used")(lambda see, name=_name: _used(see, name))  # type: ignore[misc]
    fact(f"dataset.no_{_name}")(lambda see, name=_name: not see.fact(f"dataset.{name}_used"))  # type: ignore[misc]


@fact("dataset.synthetic_used", "counted")
def _synthetic_used(see: Reader) -> bool:
    return bool(see.fact("dataset.synthetic_rows"))


@fact("dataset.public_list")
def _public_list(see: Reader) -> Any:
    found = see.fact("dataset.sources")
    return {**found, "rows": [row for row in found["rows"] if row[3] == "public"]}


@fact("dataset.licences", "counted")
def _licences(see: Reader) -> Any:
    by: dict[str, int] = {}
    for one in shards(see, see.cycle):
        frame = see.table(see.artifact("accepted", see.record(one.cycle)), "rows.parquet")
        for licence, count in frame.group_by("licence").len().rows():
            by[licence] = by.get(licence, 0) + count
    total = sum(by.values())
    return table("licence rows share", [[name, count, count / total] for name, count in sorted(by.items())])


@fact("crawl.none")
def _no_crawler(see: Reader) -> bool:
    """No code of the platform fetches anything; only a source can be crawled, and says so or is not classified."""
    found = {row[0]: row[1] for row in see.fact("dataset.origin_classes")["rows"]}
    if not found["crawled"] and found["not classified"]:
        raise Absent("origin")
    return not found["crawled"]


@fact("crawl.used")
def _crawler(see: Reader) -> bool:
    return not see.fact("crawl.none")
