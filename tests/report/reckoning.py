"""The compute account of a model, reckoned once more from the entries: which passes there were, which of them count, and as what.

It follows Annex A of the Commission's guidelines and shares no code with `loopwright.report.compute`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.report.asking import Log, between, of
from tests.report.test_facts import Entry, kind

NAMES = {
    "parameter_updates": ("FL-1", True, "par. 119"), "synthetic_generation_nonpublic": ("FL-2", True, "par. 120"),
    "inherited_weights": ("FL-3", True, "par. 121"), "synthetic_generation_public": ("FL-4", False, "par. 122"),
    "diagnostic": ("FL-5", False, "par. 122"), "machine_learnt_exploration": ("FL-6", False, "par. 122"),
    "data_parent_training": ("FL-7", False, "par. 122"), "auxiliary": ("FL-8", False, "par. 122"), "failed": ("FL-6", False, "par. 122"),
}  # fmt: skip
"""Class -> row of the document, whether it counts towards 10^25, paragraph."""
DEVICES = Path(__file__).parents[2] / "src/loopwright/report/compute/devices.csv"


@dataclass(kw_only=True)
class Work:
    """One kind of pass through a model in one phase."""

    id: str
    leaf: int
    cycle: str
    phase: str
    sort: str
    said: dict[str, Any] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    used: dict[str, str] = field(default_factory=dict)
    digest: str | None = None
    at: str | None = None
    seconds: float | None = None
    parameters: int | None = None
    trained: int | None = None
    tokens: int | None = None
    least: bool = False
    samples: int | None = None
    flop: float | None = None
    counted: float | None = None
    hardware: float | None = None
    units: int | None = None
    device: str | None = None
    peak: float | None = None
    peak_source: str | None = None
    busy: float | None = None
    reading: str | None = None
    energy: dict[str, Any] = field(default_factory=dict)
    systemic: bool | None = None
    note: str | None = None
    counts_as: str = ""

    @property
    def formula(self) -> str:
        if self.sort in {"generation", "evaluation", "auxiliary"}:
            text = "2·P·n"
        else:
            text = "6·P·D" if self.trained in {None, self.parameters} else "(4·P + 2·P')·D"
        return f"\u2265 {text}" if self.least else text


def peak(device: dict[str, Any], cpu: str) -> tuple[float | None, str | None]:
    """Operations a second of one unit at most, and from where that is known."""
    if device["kind"] == "cuda":
        lines = [line for line in DEVICES.read_text("utf-8").splitlines() if not line.startswith("#")]
        found = next((row for row in csv.DictReader(lines) if row["name"] in device["name"]), None)
        return (float(found["dense_flops"]), f"{found['name']}: {found['source']}") if found else (None, None)
    wide = {"avx512f": 64, "fma": 32, "avx": 16, "sve": 32, "asimd": 16}
    each = next((count for word, count in wide.items() if word in cpu.split()), None)
    if each is None or "mhz" not in device:
        return None, None
    return device["threads"] * device["mhz"] * 1e6 * each, f"{device['threads']} x {device['mhz']} MHz x {each} FLOP"


def trainings(said: dict[str, Any], common: dict[str, Any]) -> Iterable[Work]:
    """The weights that it began with, where they are of someone else; the model; its twins of other seeds."""
    told, own = said["summary"].get("compute"), common["id"]
    if told is None:
        share = said["summary"].get("seeds", 1)
        yield Work(
            **common,
            sort="update",
            parameters=said["summary"]["parameters"],
            tokens=round(said["summary"]["tokens"] / share),
            least=True,
        )
        return
    bare = {"made": [], "energy": {}, "seconds": None}
    if base := told.get("base"):
        more = {name: base.get(name) for name in ("flop", "systemic", "digest")}
        yield Work(**{**common, **bare, **more, "id": f"{own}/base", "used": {}}, sort="base", note=base["name"])
    for place, one in enumerate(told["updates"]):
        device, counted, tokens = one["device"], one["counted"], one["tokens"]
        top, source = peak(device, said["environment"].get("cpu", ""))
        gpu = common["energy"].get("utilisation", {}).get("gpu") if not place else None
        busy, reading = (
            (device["busy"], "cpu-time") if "busy" in device else (gpu, "nvml-occupancy" if gpu is not None else None)
        )
        mine = {**common, **({**bare, "id": f"{own}/{place}"} if place else {}), "seconds": device["seconds"]}
        yield Work(
            **mine, sort="twin" if place else "update", parameters=one["parameters"], trained=one["trained"], tokens=tokens, units=device["count"],
            device=device["name"], peak=top, peak_source=source, busy=busy, reading=reading,
            counted=counted["flop"] * tokens / counted["tokens"] if counted else None,
            hardware=device["count"] * device["seconds"] * top * busy if top and busy is not None else None,
            flop=(4 * one["parameters"] + 2 * one["trained"]) * tokens,
        )  # fmt: skip


def works(log: Log) -> list[Work]:
    """In the order of the log."""
    found: list[Work] = []
    for each in of(log, "phase", "failure"):
        if kind(each) == "phase":
            found += phase(each, {row.made[0]: row.parameters for row in found if row.sort == "update"})
        elif kind(each) == "failure":
            said = each["predicate"]
            seconds = max(0.0, between(said["started_at"], said["failed_at"]))
            common = {
                "id": f"{each['leaf']}/{said['cycle']}/{said['phase']}",
                "leaf": each["leaf"],
                "cycle": said["cycle"],
                "phase": said["phase"],
            }
            found.append(
                Work(
                    **common,
                    sort="failed",
                    seconds=seconds,
                    at=said["failed_at"],
                    energy=said.get("energy", {}),
                    note=said["error"],
                )
            )
    return found


def phase(each: Entry, sizes: dict[str, int | None]) -> list[Work]:
    said = each["predicate"]
    summary, name = said["summary"], said["phase"]
    common: dict[str, Any] = {
        "id": f"{each['leaf']}/{said['cycle']}/{name}", "leaf": each["leaf"], "cycle": said["cycle"], "phase": name, "said": said,
        "made": [one["path"] for one in said["outputs"]], "used": {one["name"]: one["path"] for one in said["inputs"]},
        "digest": said["outputs"][0]["digest"] if said["outputs"] else None, "at": said["finished_at"], "seconds": said["seconds"],
        "energy": said["environment"].get("energy", {}),
    }  # fmt: skip
    if name == "train":
        rows = list(trainings(said, common))
        for row in rows:
            if row.flop is None and row.sort == "update":
                row.flop = 6 * row.parameters * row.tokens  # type: ignore[operator]
        return rows
    if name == "verify" and summary.get("judge_models"):
        paid = summary.get("cost")
        return [Work(**common, sort="auxiliary", tokens=paid["tokens_in"] + paid["tokens_out"] if paid else None, least=True)]
    if name not in {"generate", "evaluate", "examine"}:
        return [Work(**common, sort="none")]
    if "external" in summary:  # the champion, which is an input, did not answer
        common["used"].pop("model")
    prompts = summary.get("compute", {}).get("prompt_tokens") if name == "generate" else None
    size, tokens = sizes.get(common["used"].get("model", "")), summary.get("tokens", 0) + (prompts or 0)
    sort, samples = ("generation", summary.get("rows")) if name == "generate" else ("evaluation", None)
    least, flop = prompts is None or "external" in summary, None if size is None else 2 * size * tokens
    return [Work(**common, sort=sort, parameters=size, tokens=tokens, least=least, samples=samples, flop=flop)]


class Reckoning:
    """The account of the document's model: its cycle's own, else the last that was trained before it."""

    def __init__(self, log: Log, rows: list[Work] | None = None, model: str | None = None, published: bool = False) -> None:
        self.log, self.rows, self.published = log, rows or works(log), published
        self.model = model or self._model()

    def _model(self) -> str | None:
        mine = [row for row in self.rows if row.sort == "update" and row.cycle == self.log.cycle]
        here = [place for place, row in enumerate(self.rows) if row.cycle == self.log.cycle]
        before = [row for row in (self.rows[: here[-1]] if here else self.rows) if row.sort == "update"]
        return (
            (mine or before[-1:] or [Work(id="", leaf=0, cycle="", phase="", sort="")])[0].made[:1][0]
            if mine or before
            else None
        )

    @cached_property
    def makers(self) -> dict[str, Work]:
        return {path: row for row in self.rows for path in row.made}

    @cached_property
    def own(self) -> Work:
        return self.makers[self.model or ""]

    @cached_property
    def line(self) -> list[Work]:
        """Trainings along the weights, newest first."""
        found = [self.own]
        while (before := self.makers.get(found[-1].used.get("model", ""))) and before not in found:
            found.append(before)
        return found

    def _from(self, through: Callable[[Work], bool]) -> set[str]:
        found, waiting = set[str](), [self.own]
        while waiting:
            row = waiting.pop()
            if row.id not in found:
                found.add(row.id)
                waiting += [self.makers[path] for path in row.used.values() if through(row) and path in self.makers]
        return found

    @cached_property
    def entries(self) -> list[Work]:
        """All passes to the end of the model's cycle, each under one class."""
        inside, beyond = self._from(lambda row: row.sort != "generation"), self._from(lambda _: True)
        line = {row.id for row in self.line}
        last = max(place for place, row in enumerate(self.rows) if row.cycle == self.own.cycle)
        found = []
        for row in self.rows[: last + 1]:
            trunk = row.id.removesuffix("/base")
            if row.sort == "none":
                continue
            if row.sort in {"failed", "auxiliary", "evaluation"}:
                row.counts_as = "diagnostic" if row.sort == "evaluation" else row.sort
            elif row.sort == "generation" and row.id in inside:
                row.counts_as = f"synthetic_generation_{'public' if self.published else 'nonpublic'}"
            elif row.id == self.own.id:
                row.counts_as = "parameter_updates"
            elif trunk in line:
                row.counts_as = "inherited_weights"
            else:
                row.counts_as = "data_parent_training" if trunk in beyond else "machine_learnt_exploration"
            found.append(row)
        return found

    def of(self, *names: str) -> list[Work]:
        return [row for row in self.entries if row.counts_as in names]

    @property
    def updates(self) -> list[Work]:
        return self.of("parameter_updates", "inherited_weights")

    @property
    def counted(self) -> list[Work]:
        return [row for row in self.entries if NAMES[row.counts_as][1]]

    @property
    def here(self) -> list[Work]:
        return [row for row in self.rows if row.cycle == self.log.cycle]

    @property
    def relation(self) -> str:
        if any(row.sort == "base" and row.counts_as == "inherited_weights" for row in self.entries):
            return "external"
        return "continues" if "model" in self.own.used else "anew"


def flop(rows: Iterable[Work]) -> float:
    """Of those that tell how large their model is."""
    return float(sum(row.flop or 0 for row in rows))


def known(rows: Iterable[Work]) -> float | None:
    """The same; None where there are some and none of them tells it."""
    found = list(rows)
    return None if found and all(row.flop is None for row in found) else flop(found)
