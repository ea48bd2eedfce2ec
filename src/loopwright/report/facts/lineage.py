"""What a model learnt from: the shards of its training set, who wrote each, and what those learnt from in their turn.

Everything follows from the inputs that the signed statements name; no table of rows is read. Sums are those of the merge phases,
so a retrained archive without some rows counts as it was merged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from loopwright.ledger.fold import CycleRecord, PhaseRecord
from loopwright.report.facts.binding import alias, fact, table
from loopwright.report.facts.reading import Absent, Reader
from loopwright.types import Digest

__all__ = ["Shard", "depths", "judges_of", "released", "shards", "started_from", "weights", "written_by"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """The rows that one cycle brought into a training set."""

    cycle: str
    human: int
    synthetic: int
    digest: Digest
    """Of the accepted rows."""
    generator: Digest | None
    """The model that wrote the synthetic rows; None where there are none."""
    maker: str | None
    """The cycle that trained it; None where it was not trained in this record."""
    name: str | None
    """Of a model elsewhere: the one that it answers under."""
    samples: int
    """What the generator made in that cycle, kept or not."""
    tokens: int

    @property
    def called(self) -> str | None:
        """How a reader knows the generator: by its cycle, its name, or its digest alone."""
        return self.maker or self.name or self.generator


def _input(done: PhaseRecord, name: str) -> Mapping[str, str] | None:
    return next((item for item in done.inputs if item["name"] == name), None)


def written_by(done: PhaseRecord) -> Digest | None:
    """The model that wrote what a generate phase made: the one elsewhere that the plan named in the champion's place, else its input."""
    elsewhere = done.summary.get("external")
    found = _input(done, "model")
    return elsewhere["digest"] if elsewhere else found["digest"] if found else None


def judges_of(see: Reader) -> list[Digest]:
    """Models that judged rows of the document's cycle. Of one elsewhere the record names its family, too, which is no model."""
    said = see.summary("verify")
    return [said["judge"]["digest"]] if said.get("judge") else list(said.get("judge_models", ()))


def started_from(see: Reader, cycle: CycleRecord) -> tuple[Digest, str | None] | None:
    """The model whose weights a cycle's training continued, and the cycle that made it; None where it began from nothing.

    Weights of someone else, from which a family's first model may start, are of no cycle: digest or name, as the training told it.
    """
    done = see.phase("train", cycle)
    found = _input(done, "model")
    if found:
        return found["digest"], see.source.models.get(found["digest"])
    base = (done.summary.get("compute") or {}).get("base")
    return (base.get("digest") or base.get("name", "unnamed"), None) if base else None


def weights(see: Reader, cycle: CycleRecord) -> Iterator[tuple[Digest, str | None]]:
    """The models before this cycle's one along the weights, nearest first, to the first; the last may be of no cycle here."""
    found = started_from(see, cycle)
    while found is not None:
        yield found
        found = started_from(see, see.record(found[1])) if found[1] else None


def shards(see: Reader, cycle: CycleRecord) -> list[Shard]:
    """The training set of a cycle, oldest shard first, along the chain of archives that its statements name."""
    found: list[Shard] = []
    name, seen = cycle.cycle, set[str | None]()
    while name is not None and name not in seen:  # a chain that the record bites the tail of ends
        seen.add(name)
        record = see.record(name)
        shard, name = _shard(see, record)
        found += [shard] if shard else []
    return found[::-1]


def _shard(see: Reader, record: CycleRecord) -> tuple[Shard | None, str | None]:
    """A cycle's own shard (None where it brought none), and the cycle whose archive its own goes on from."""
    if "seed" in record.phases:
        rows = int(see.summary("seed", record).get("human_rows", 0))
        return _made(see, record, rows, 0), None
    if "merge" not in record.phases:
        raise Absent("archive")
    done = see.phase("merge", record)
    before = _input(done, "archive")
    previous = before["path"].split("/")[1] if before else None
    human, synthetic = _totals(see, record)
    old_human, old_synthetic = _totals(see, see.record(previous)) if previous else (0, 0)
    return _made(see, record, human - old_human, synthetic - old_synthetic), previous


def _totals(see: Reader, record: CycleRecord) -> tuple[int, int]:
    if "merge" in record.phases:
        said = see.summary("merge", record)
        return int(said["human"]), int(said["synthetic"])
    return int(see.summary("seed", record).get("human_rows", 0)), 0


def _made(see: Reader, record: CycleRecord, human: int, synthetic: int) -> Shard:
    asked = see.summary("generate", record)
    written = written_by(see.phase("generate", record)) if "generate" in record.phases and synthetic else None
    return Shard(
        cycle=record.cycle,
        human=human,
        synthetic=synthetic,
        digest=see.artifact("accepted", record).digest,
        generator=written,
        maker=see.source.models.get(written) if written else None,
        name=asked.get("external", {}).get("model") if written else None,
        samples=int(asked.get("rows", 0)),
        tokens=int(asked.get("tokens", 0)),
    )


def depths(see: Reader) -> dict[str, int]:
    """By cycle: most models, one trained on what the one before it wrote, between a row of its training set and human data."""
    found: dict[str, int] = {}
    for record in see.cycles():
        if "merge" not in record.phases:
            found[record.cycle] = 0
            continue
        shard, previous = _shard(see, record)
        own = 1 + found.get(shard.maker or "", 0) if shard and shard.synthetic else 0
        found[record.cycle] = max(own, found.get(previous or "", 0))
    return found


def _generators(see: Reader, cycle: CycleRecord) -> dict[Digest, list[Shard]]:
    found: dict[Digest, list[Shard]] = {}
    for shard in shards(see, cycle):
        if shard.generator:
            found.setdefault(shard.generator, []).append(shard)
    return found


def released(see: Reader) -> list[str]:
    """Cycles that a release answer names as placed on the market; a name that is a part of another one is not named by it."""
    from loopwright.report.facts.answered import answer

    told = set(re.findall(r"\bc\d{4,}\b", answer(see, "release.versions") or ""))
    return [name for name in see.state.cycles if name in told]


@fact("gen.generators", "counted")
def _its_generators(see: Reader) -> Any:
    rows = []
    total = sum(shard.human + shard.synthetic for shard in shards(see, see.cycle))
    for digest, some in _generators(see, see.cycle).items():
        kept, made = sum(one.synthetic for one in some), sum(one.samples for one in some)
        first = some[0]
        name = first.name or (f"{see.state.name} {first.maker}" if first.maker else None)
        rows.append([first.maker, name, digest, ", ".join(one.cycle for one in some), made, kept, kept / total])
    return table("cycle name model wrote_in samples kept share", rows)


@fact("gen.used", "counted")
def _used(see: Reader) -> bool:
    return any(shard.synthetic for shard in shards(see, see.cycle))


@fact("gen.none", "counted")
def _none(see: Reader) -> bool:
    return not see.fact("gen.used")


@fact("gen.own_generators", "counted")
def _own_generators(see: Reader) -> Any:
    found, public = see.fact("gen.generators"), released(see)
    return {**found, "rows": [row for row in found["rows"] if row[0] is not None and row[0] not in public]}


@fact("gen.market_generators", "counted")
def _market_generators(see: Reader) -> Any:
    """Of a generator that was not trained in this record, the record does not know where it is; a list without it would say that it is not."""
    found, public = see.fact("gen.generators"), released(see)
    if any(row[0] is None for row in found["rows"]):
        raise Absent("generator")
    return {**found, "rows": [row for row in found["rows"] if row[0] in public]}


@fact("gen.no_market", "counted")
def _no_market(see: Reader) -> bool:
    return not see.fact("gen.market_generators")["rows"]


@fact("gen.lineage", "derived")
def _lineage(see: Reader) -> Any:
    """Breadth first from the document's training set; a generator that several sets share is told once, with its own set.

    A generator that was not trained in this record stands by its name or digest alone: what it learnt from, the record does not know.
    """
    depth, waiting, told, rows, public = depths(see), [see.cycle.cycle], set[str](), list[Any](), released(see)
    for name in waiting:
        own = shards(see, see.record(name))
        total = sum(one.human + one.synthetic for one in own)
        rows += [
            [name, name in public, depth[name], origin, count, count / total] for origin, count in _by_origin(own) if count
        ]
        makers = dict.fromkeys(one.maker for one in own if one.maker and one.maker not in told)
        told.update(makers)
        waiting += makers
        unknown = {one.generator: one.called for one in own if one.generator and not one.maker and one.generator not in told}
        told.update(unknown)
        rows += [[called, None, None, None, None, None] for called in unknown.values()]
    return table("cycle market depth origin rows share", rows)


_MANY = 12


def _by_origin(own: list[Shard]) -> Iterator[tuple[str, int]]:
    """Rows of one training set by origin; of many generators the first and the last with their number."""
    yield "human", sum(one.human for one in own)
    by: dict[Digest, int] = {}
    for one in own:
        if one.generator:
            by[one.generator] = by.get(one.generator, 0) + one.synthetic
    called = {one.generator: one.called for one in own if one.generator}
    if len(by) <= _MANY:
        yield from ((f"model {called[digest]}", rows) for digest, rows in by.items())
    else:
        yield f"models {called[next(iter(by))]}, …, {called[list(by)[-1]]} ({len(by)})", sum(by.values())


@fact("gen.generator_names", "derived")
def _generator_names(see: Reader) -> list[str]:
    """Every generator reached, nearest first, by the loop's name of it or its digest; whether it is on the market is `gen.market_generators`."""
    found = [one for one in dict.fromkeys(row[0] for row in see.fact("gen.lineage")["rows"]) if one != see.cycle.cycle]
    return [f"{see.state.name} {one}" if one in see.state.cycles else str(one) for one in found]


@fact("gen.lineage_summary", "derived")
def _lineage_summary(see: Reader) -> Any:
    rows = see.fact("gen.lineage")["rows"]
    own = [row for row in rows if row[0] == see.cycle.cycle]
    human = sum(row[4] for row in own if row[3] == "human")
    return {
        "generators": len(see.fact("gen.generator_names")),
        "depth": see.fact("model.generation_depth"),
        "human": human,
        "synthetic": sum(row[4] for row in own) - human,
    }


@fact("model.generation_depth", "derived")
def _generation_depth(see: Reader) -> int:
    return depths(see)[see.cycle.cycle]


alias("gen.depth", "model.generation_depth", "derived")


@fact("model.weight_parents")
def _weight_parents(see: Reader) -> Any:
    rows = [[step, maker, digest] for step, (digest, maker) in enumerate(weights(see, see.cycle), 1)]
    return table("step cycle model", rows)


@fact("model.external_parents")
def _external_parents(see: Reader) -> Any:
    return table("step model", [[row[0], row[2]] for row in see.fact("model.weight_parents")["rows"] if row[1] is None])


@fact("model.external")
def _external(see: Reader) -> bool:
    return bool(see.fact("model.external_parents")["rows"])


@fact("model.from_scratch")
def _from_scratch(see: Reader) -> bool:
    return not see.fact("model.external")


@fact("model.same_model")
def _same_model(see: Reader) -> bool:
    return started_from(see, see.cycle) is not None


@fact("loop.pretrained")
def _pretrained(see: Reader) -> bool:
    trained = [record for record in see.cycles() if "train" in record.phases]
    return any(maker is None for record in trained for found in [started_from(see, record)] if found for maker in [found[1]])


@fact("model.data_parents", "counted")
def _data_parents(see: Reader) -> Any:
    rows = [[row[0], row[1], row[2], row[5], row[6]] for row in see.fact("gen.generators")["rows"]]
    return table("cycle name model rows share", rows)


@fact("model.ancestors", "derived")
def _ancestors(see: Reader) -> Any:
    """All of them: from the model along weights and along data, each once with every relation in which it stands."""
    relations: dict[tuple[str | None, Digest], set[str]] = {}
    waiting, seen = [see.cycle.cycle], set[str]()
    for name in waiting:
        record = see.record(name)
        parent = started_from(see, record)
        found = [(parent[1], parent[0], "weights")] if parent else []
        found += [(one.maker, one.generator, "data") for one in shards(see, record) if one.generator]
        for maker, digest, how in found:
            relations.setdefault((maker, digest), set()).add(how)
            if maker and maker not in seen:
                seen.add(maker)
                waiting.append(maker)
    rows = [[maker, digest, " + ".join(sorted(how))] for (maker, digest), how in relations.items()]
    return table("cycle model relation", sorted(rows, key=lambda row: str(row[0])))


@fact("model.uses", "counted")
def _uses(see: Reader) -> Any:
    """Where the document's model generated, was evaluated against, or judged."""
    model, rows = see.artifact("model").digest, []
    for record in see.state.cycles.values():
        for done in record.phases.values():
            roles = [item["name"] for item in done.inputs if item["digest"] == model]
            idle = done.phase == "generate" and written_by(done) != model  # a model elsewhere wrote in its place
            if not roles or idle or record.cycle == see.cycle.cycle:
                continue
            see.leaf(done.index)
            kept = (
                record.phases["verify"].summary.get("accepted")
                if done.phase == "generate" and "verify" in record.phases
                else None
            )
            rows.append([record.cycle, done.phase, _ROLE.get((done.phase, roles[0]), roles[0]), kept])
    return table("cycle phase use rows", rows)


_ROLE = {
    ("generate", "model"): "generates data",
    ("train", "model"): "gives its weights",
    ("examine", "first"): "is the frozen reference",
}
