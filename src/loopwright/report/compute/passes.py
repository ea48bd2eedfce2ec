"""Every pass through a model that the record tells of, as one row each: what it was for, how large, on what, for how long.

Rows come from the signed statements alone. What a row counts for depends on the model that is asked about
(`loopwright.report.compute.account`). Records from before the phases counted tokens read are understood: there the tokens
learnt or written are all that is known, and the row says so by ``least``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from loopwright.ledger.statement import Statement
from loopwright.report.compute.methods import forward, hardware, peak, updates

__all__ = ["Pass", "passes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """Passes of one kind in one phase of one attempt."""

    id: str
    """Unique in the record: leaf, cycle, phase, number."""
    leaf: int
    cycle: str
    phase: str
    kind: str
    """``update`` (the model of the cycle), ``twin`` (the same training with another seed), ``base`` (weights of someone else),
    ``generation``, ``evaluation``, ``auxiliary`` (models that judge), ``failed``, or ``none`` where no model took part."""
    path: str = ""
    """Of the artifact it made; of several the first."""
    outputs: tuple[str, ...] = ()
    """Paths of all of them."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Paths of what it worked from, by name."""
    digest: str = ""
    """Of the artifact it made."""
    finished_at: str = ""
    seconds: float | None = None
    parameters: int | None = None
    trained: int | None = None
    tokens: int | None = None
    """That went through the model, prompts among them."""
    least: bool = False
    """More went through than is told: without prompts."""
    samples: int | None = None
    flop: float | None = None
    """By the architecture method; None where the record does not tell enough."""
    counted: float | None = None
    """By torch's counter on one step, scaled by tokens."""
    hardware: float | None = None
    """N·L·H·U."""
    units: int | None = None
    device: str = ""
    peak: float | None = None
    peak_source: str = ""
    utilisation: float | None = None
    utilisation_source: str = ""
    energy: Mapping[str, Any] = field(default_factory=dict)
    systemic: bool | None = None
    """Of weights of someone else: whether theirs is a model with systemic risk, as their provider says."""
    note: str = ""


def passes(statements: Iterable[Statement]) -> tuple[Pass, ...]:
    """All rows in the order of the log."""
    sizes: dict[str, int] = {}
    found: list[Pass] = []
    for one in statements:
        for said in _phases(one):
            for row in _rows(said, one):
                if row.kind == "update" and row.parameters is not None:
                    sizes[row.path] = row.parameters
                found.append(_sized(row, sizes))
        if one.kind == "failure":
            found.append(_failed(one))
    return tuple(found)


def _phases(one: Statement) -> Iterator[Mapping[str, Any]]:
    """A phase's entry, or all those that an import brought along."""
    if one.kind == "phase":
        yield one.predicate
    elif one.kind == "import":
        outputs: dict[tuple[str, str], list[Any]] = {}
        for made in one.predicate["artifacts"]:
            outputs.setdefault((made["cycle"], made["phase"]), []).append(made)
        for cycle in one.predicate["cycles"]:
            for phase in cycle["phases"]:
                yield {**phase, "cycle": cycle["cycle"], "outputs": outputs.get((cycle["cycle"], phase["phase"]), [])}


def _rows(said: Mapping[str, Any], one: Statement) -> Iterator[Pass]:
    match said["phase"]:
        case "train":
            yield from _training(said, one)
        case "generate":
            yield _generation(said, one)
        case "evaluate" | "examine":
            yield replace(_row(said, one, "evaluation"), tokens=int(said["summary"].get("tokens", 0)), least=True)
        case "verify" if said["summary"].get("judge_models"):
            yield _judging(said, one)
        case "verify" | "merge" | "decide" | "seed":  # no model, but energy
            yield _row(said, one, "none")


def _generation(said: Mapping[str, Any], one: Statement) -> Pass:
    """Of a model elsewhere, which answered in the champion's place, the size is not known, and with it no operations."""
    row, prompts = _row(said, one, "generation"), said["summary"].get("compute", {}).get("prompt_tokens")
    elsewhere = "external" in said["summary"]
    return replace(
        row,
        inputs={name: path for name, path in row.inputs.items() if name != "model"} if elsewhere else row.inputs,
        tokens=int(said["summary"].get("tokens", 0)) + int(prompts or 0),
        least=elsewhere or prompts is None,
        samples=said["summary"].get("rows"),
    )


def _judging(said: Mapping[str, Any], one: Statement) -> Pass:
    """Models that judged rows: their tokens, where they were paid for; nobody tells how large they are."""
    cost = said["summary"].get("cost")
    tokens = int(cost["tokens_in"]) + int(cost["tokens_out"]) if cost else None
    return replace(_row(said, one, "auxiliary"), tokens=tokens, least=True)


def _training(said: Mapping[str, Any], one: Statement) -> Iterator[Pass]:
    """The model of the cycle, its twins, and before the first of all what it may have started from."""
    summary = said["summary"]
    told = summary.get("compute")
    row = _row(said, one, "update")
    if told is None:
        share = int(summary.get("seeds", 1))
        yield replace(row, parameters=summary.get("parameters"), tokens=round(summary.get("tokens", 0) / share), least=True)
        return
    if base := told.get("base"):
        yield replace(
            row,
            id=f"{row.id}/base",
            kind="base",
            path="",
            outputs=(),
            inputs={},
            digest=base.get("digest", ""),
            seconds=None,
            energy={},
            flop=base.get("flop"),
            systemic=base.get("systemic"),
            note=base.get("name", ""),
        )
    for number, update in enumerate(told["updates"]):
        yield _update(
            row if not number else replace(row, id=f"{row.id}/{number}", kind="twin", path="", outputs=(), energy={}),
            update,
            said,
        )


def _update(row: Pass, update: Mapping[str, Any], said: Mapping[str, Any]) -> Pass:
    device, counted, tokens = update["device"], update["counted"], int(update["tokens"])
    found = peak(device, str(said["environment"].get("cpu", "")))
    used, source = _utilisation(device, row.energy)
    seconds, units = float(device["seconds"]), int(device["count"])
    return replace(
        row,
        parameters=update["parameters"],
        trained=update["trained"],
        tokens=tokens,
        seconds=seconds,
        units=units,
        device=device["name"],
        peak=found[0] if found else None,
        peak_source=found[1] if found else "",
        utilisation=used,
        utilisation_source=source,
        counted=counted["flop"] * tokens / counted["tokens"] if counted else None,
        hardware=hardware(units, seconds, found[0], used) if found and used is not None else None,
    )


def _utilisation(device: Mapping[str, Any], energy: Mapping[str, Any]) -> tuple[float | None, str]:
    """The reading that there is. It says how long the device was busy, not how well: up to five times the model's own share."""
    if "busy" in device:
        return float(device["busy"]), "cpu-time"
    told = energy.get("utilisation", {}).get("gpu")
    return (None, "") if told is None else (float(told), "nvml-occupancy")


def _row(said: Mapping[str, Any], one: Statement, kind: str) -> Pass:
    outputs = said["outputs"]
    return Pass(
        id=f"{one.index}/{said['cycle']}/{said['phase']}",
        leaf=one.index,
        cycle=said["cycle"],
        phase=said["phase"],
        kind=kind,
        path=outputs[0]["path"] if outputs else "",
        outputs=tuple(item["path"] for item in outputs),
        digest=outputs[0]["digest"] if outputs else "",
        inputs={item["name"]: item["path"] for item in said["inputs"]},
        finished_at=said["finished_at"],
        seconds=float(said["seconds"]),
        energy=said["environment"].get("energy", {}),
    )


def _failed(one: Statement) -> Pass:
    """An attempt that left nothing. How far it came is not told, how long it took is."""
    said = one.predicate
    began, ended = (datetime.fromisoformat(said[name]) for name in ("started_at", "failed_at"))
    return Pass(
        id=f"{one.index}/{said['cycle']}/{said['phase']}",
        leaf=one.index,
        cycle=said["cycle"],
        phase=said["phase"],
        kind="failed",
        finished_at=said["failed_at"],
        seconds=max(0.0, (ended - began).total_seconds()),
        energy=said.get("energy", {}),
        note=said["error"],
    )


def _sized(row: Pass, sizes: Mapping[str, int]) -> Pass:
    """With its operations. Who samples or is examined was trained before, and its training told how large it is."""
    if row.kind in {"update", "twin"} and row.parameters is not None and row.tokens is not None:
        return replace(row, flop=updates(row.parameters, row.tokens, row.trained))
    if row.kind in {"generation", "evaluation"}:
        size = sizes.get(row.inputs.get("model", ""))
        return replace(row, parameters=size, flop=None if size is None else forward(size, row.tokens or 0))
    return row
