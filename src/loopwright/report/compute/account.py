"""The compute account of one model: which passes of the record count towards it, each once, and under which paragraph.

``ledger(m) = updates(m) + generation(m) + the ledgers of all weight parents``, as a *set* of rows: a shared ancestor counts once.
Models that only wrote data (data parents) add the passes that wrote it, never their own training (par. 122). Whether a model is a
weight parent is read from the training's signed inputs: a training that names a model went on from its weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from loopwright.report.compute.passes import Pass

__all__ = ["CLASSES", "Account", "Class", "Entry", "account", "models", "weight_line"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Class:
    """What a row is counted as, by the guidelines' numbering of July 2025."""

    id: str
    counts: bool
    ref: str
    field: str
    """Of the document."""


CLASSES: Mapping[str, Class] = {
    one.id: one
    for one in (
        Class(id="parameter_updates", counts=True, ref="par. 119", field="FL-1"),
        Class(id="synthetic_generation_nonpublic", counts=True, ref="par. 120", field="FL-2"),
        Class(id="inherited_weights", counts=True, ref="par. 121", field="FL-3"),
        Class(id="synthetic_generation_public", counts=False, ref="par. 122", field="FL-4"),
        Class(id="diagnostic", counts=False, ref="par. 122", field="FL-5"),
        Class(id="machine_learnt_exploration", counts=False, ref="par. 122", field="FL-6"),
        Class(id="data_parent_training", counts=False, ref="par. 122", field="FL-7"),
        Class(id="auxiliary", counts=False, ref="par. 122", field="FL-8"),
        Class(id="failed", counts=False, ref="par. 122", field="FL-6"),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A row of the account."""

    made: Pass
    counted_as: Class


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """All passes up to a model's training and its cycle's end, each under exactly one class."""

    model: str
    """Path of the model."""
    entries: tuple[Entry, ...]
    relation: str
    """``continues`` its parent's weights, ``anew``, or ``external`` where the first weights came from someone else."""

    def of(self, *classes: str) -> tuple[Pass, ...]:
        """Rows of these classes."""
        return tuple(entry.made for entry in self.entries if entry.counted_as.id in classes)

    def total(self, *classes: str) -> float:
        """FLOP of these classes by the architecture method; rows that tell none add nothing (`unknown` names them)."""
        return sum((row.flop or 0.0 for row in self.of(*classes)), 0.0)

    @property
    def updates(self) -> tuple[Pass, ...]:
        """All that changed the parameters of these weights, from the first of them on."""
        return self.of("parameter_updates", "inherited_weights")

    @property
    def direct(self) -> float:
        """Compute that directly contributed to parameter updates (par. 17)."""
        return sum(row.flop or 0.0 for row in self.updates)

    @property
    def counted(self) -> tuple[Pass, ...]:
        """Rows that count towards the cumulative amount."""
        return tuple(entry.made for entry in self.entries if entry.counted_as.counts)

    @property
    def cumulative(self) -> float:
        """All that counts (par. 118-119)."""
        return sum(row.flop or 0.0 for row in self.counted)

    @property
    def exploration(self) -> float:
        """What the loop itself may have learnt from without its being in the model; shown apart, and with the total."""
        return self.total("machine_learnt_exploration")

    @property
    def unknown(self) -> tuple[Pass, ...]:
        """Counted rows whose operations are not on the record: with any of these the sums are lower bounds."""
        return tuple(row for row in self.counted if row.flop is None or row.least)


def account(rows: Sequence[Pass], model: str, published: Iterable[str] = ()) -> Account:
    """The account of the model at this path.

    Args:
        rows: `passes` of the record, which may go on beyond the model's cycle.
        model: a path like ``cycles/c0003/model``.
        published: paths of proposals that are publicly accessible, as persons said.

    Raises:
        KeyError: the record has no such model.
    """
    made = {path: row for row in rows for path in row.outputs}
    own = made[model]
    inside, beyond = _reached(own, made, beyond=False), _reached(own, made, beyond=True)
    line = {row.id for row in weight_line(own, made)}
    base = {f"{row}/base" for row in line}
    seen = set(published)
    end = max(place for place, row in enumerate(rows) if row.cycle == own.cycle)
    entries = []
    for row in rows[: end + 1]:
        if row.kind == "none":
            continue
        kind = _class(row, own, inside, line | base, beyond | {f"{row}/base" for row in beyond}, seen)
        entries.append(Entry(made=row, counted_as=CLASSES[kind]))
    found = next((row for row in rows if row.id in base), None)
    relation = "external" if found else "continues" if "model" in own.inputs else "anew"
    return Account(model=model, entries=tuple(entries), relation=relation)


def _class(row: Pass, own: Pass, inside: set[str], line: set[str], beyond: set[str], published: set[str]) -> str:
    """A row's class. What is not in the model and no measurement is taken for something that the loop may have learnt from."""
    if row.kind in {"failed", "evaluation", "auxiliary"}:
        return "diagnostic" if row.kind == "evaluation" else row.kind
    if row.kind == "generation" and row.id in inside:
        return "synthetic_generation_public" if published & set(row.outputs) else "synthetic_generation_nonpublic"
    if row.id == own.id:
        return "parameter_updates"
    if row.id in line:
        return "inherited_weights"
    return "data_parent_training" if row.id in beyond else "machine_learnt_exploration"


def _reached(own: Pass, made: Mapping[str, Pass], *, beyond: bool) -> set[str]:
    """Ids of everything that the model comes from, by weights and by the data that these weights were trained on.

    Where the way reaches a generation, who wrote there is a data parent: only ``beyond`` goes on to what made it.
    """
    found, waiting = set[str](), [own]
    while waiting:
        row = waiting.pop()
        if row.id in found:
            continue
        found.add(row.id)
        if beyond or row.kind != "generation":
            waiting += [made[path] for path in row.inputs.values() if path in made]
    return found


def weight_line(own: Pass, made: Mapping[str, Pass]) -> list[Pass]:
    """The model's training and those of all models whose weights it goes on from, newest first."""
    line = [own]
    while (parent := made.get(line[-1].inputs.get("model", ""))) is not None and parent not in line:
        line.append(parent)
    return line


def models(rows: Sequence[Pass]) -> tuple[str, ...]:
    """Paths of all models of the record, first trained first."""
    return tuple(dict.fromkeys(row.path for row in rows if row.kind == "update"))
