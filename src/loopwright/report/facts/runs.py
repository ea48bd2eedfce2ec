"""How the work ran: time, processors, workers, isolation, and by which methods the model was trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from loopwright.ledger.fold import CycleRecord, PhaseRecord
from loopwright.report.facts.binding import alias, fact, table
from loopwright.report.facts.lineage import weights
from loopwright.report.facts.reading import Absent, Reader, Told
from loopwright.types import PHASES

_LEVELS = ("data", "SL0", "SL1", "SL2", "SL3", "SL4")
_DAY = 86400


def _trained(see: Reader) -> Iterator[CycleRecord]:
    """The document's cycle and those of its ancestors by weights."""
    see.phase("train")
    yield see.cycle
    for _, maker in list(weights(see, see.cycle)):
        if maker:
            yield see.record(maker)


@fact("run.executor")
def _executor(see: Reader) -> str:
    return str(Told(see.phase("train").environment)["executor"])


@fact("run.training_seconds", "measured")
def _training_seconds(see: Reader) -> float:
    return see.phase("train").seconds


@fact("run.training_total_seconds", "measured")
def _training_total_seconds(see: Reader) -> float:
    return sum(see.phase("train", record).seconds for record in _trained(see))


@fact("run.training_started_at")
def _training_started_at(see: Reader) -> str:
    return min(see.phase("train", record).started_at for record in _trained(see))


@fact("run.training_finished_at")
def _training_finished_at(see: Reader) -> str:
    return see.phase("train").finished_at


@fact("run.training_days", "derived")
def _training_days(see: Reader) -> float:
    return float(see.fact("run.training_total_seconds")) / _DAY


@fact("run.hardware_days", "derived")
def _hardware_days(see: Reader) -> float:
    return sum(see.phase("train", record).seconds * _workers(see, record) for record in _trained(see)) / _DAY


def _workers(see: Reader, record: CycleRecord) -> int:
    return _ranks(see.phase("train", record))


def _ranks(done: PhaseRecord) -> int:
    """Of a training; a group that may change its size tells in the end how large it was."""
    return int(done.environment.get("train_workers") or done.summary.get("workers") or 1)


_MONTH = 30.4375


@fact("run.training_range", "derived")
def _training_range(see: Reader) -> str:
    """Months from the first begin to the last end among the model and its ancestors by weights; a month is 30.4375 days."""
    began, ended = (datetime.fromisoformat(see.fact(f"run.training_{end}_at")) for end in ("started", "finished"))
    months = (ended - began).total_seconds() / _DAY / _MONTH
    return "< 1" if months < 1 else "1 to 3" if months <= 3 else "3 to 6" if months <= 6 else "> 6"


def _device(done: PhaseRecord) -> Mapping[str, Any]:
    """What a training ran on, as it told itself; older records and other phases tell the processor alone."""
    told = (done.summary.get("compute") or {}).get("updates") or [{}]
    found = told[0].get("device") if isinstance(told[0], dict) else None
    return found or {"kind": "cpu", "name": done.environment.get("cpu")}


@fact("run.hardware", "measured")
def _hardware(see: Reader) -> Any:
    rows = []
    for phase in PHASES:
        if phase in see.cycle.phases:
            done = see.phase(phase)
            said = done.environment
            workers = _ranks(done) if phase == "train" else said.get("map_workers")
            rows.append([phase, _device(done).get("name"), workers, said.get("threads"), done.seconds])
    return table("phase hardware workers threads seconds", rows)


@fact("run.accelerators", "measured")
def _accelerators(see: Reader) -> Any:
    rows = []
    for phase in see.cycle.phases:
        done = see.phase(phase)
        if _device(done).get("kind", "cpu") != "cpu":
            rows.append([phase, _device(done).get("name"), _ranks(done), done.seconds])
    return table("phase hardware workers seconds", rows)


@fact("run.no_accelerators")
def _no_accelerators(see: Reader) -> bool:
    return not see.fact("run.accelerators")["rows"]


@fact("run.workers")
def _its_workers(see: Reader) -> int:
    see.phase("train")
    return _workers(see, see.cycle)


@fact("run.threads")
def _threads(see: Reader) -> int:
    return int(Told(see.phase("train").environment)["threads"])


@fact("run.seeds")
def _seeds(see: Reader) -> int:
    return int(see.phase("train").summary.get("seeds", 1))


@fact("run.restarts", "counted")
def _restarts(see: Reader) -> int:
    return sum(see.phase(phase).attempt - 1 for phase in see.cycle.phases)


@fact("run.sandbox", "measured")
def _sandbox(see: Reader) -> Any:
    rows = []
    for phase in PHASES:
        for level, count in see.summary(phase).get("isolation", {}).items():
            rows.append([phase, level, count])
    return table("phase level count", rows)


alias("env.isolation", "run.sandbox", "measured")


@fact("run.sandbox_level", "measured")
def _sandbox_level(see: Reader) -> str:
    found = {row[1] for row in see.fact("run.sandbox")["rows"]}
    if not found:
        raise Absent("isolation")
    return min(found, key=_LEVELS.index)


@fact("run.training_method")
def _training_method(see: Reader) -> Any:
    """The training phases of the model and its ancestors by weights, oldest first."""
    rows = []
    for record in reversed(list(_trained(see))):
        done = see.phase("train", record)
        stage = "continued" if any(item["name"] == "model" for item in done.inputs) else "from scratch"
        said = done.summary
        rows.append([record.cycle, stage, said.get("steps"), said.get("tokens"), said.get("seeds"), done.seconds])
    return table("cycle stage steps tokens seeds seconds", rows)


@fact("run.objective", "derived")
def _objective(see: Reader) -> str:
    refs = see.plugin("model", "train")["name"]
    accept = see.config("verify")["config"]["accept"] if "verify" in see.cycle.phases else "human data"
    return f"next-token cross-entropy ({refs}); rows: {accept}"


@fact("run.losses", "measured")
def _losses(see: Reader) -> Any:
    rows = []
    for record in see.cycles():
        said = see.summary("train", record)
        if said:
            rows.append([record.cycle, said.get("loss_first"), said.get("loss_last"), said.get("steps")])
    return table("cycle loss_first loss_last steps", rows)
