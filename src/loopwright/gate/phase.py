"""The phase ``decide``: evidence in, ``decision.json`` out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from loopwright.errors import IntegrityError
from loopwright.gate.envelope import facts_of, judge, under_envelope
from loopwright.gate.lights import Lamp, lamps, under_lamps
from loopwright.gate.rule import Ruling, decide_promotion, first_champion, nothing_accepted
from loopwright.gate.spending import FRESH, History
from loopwright.types import Decision, Digest, canonical, digest_bytes, digest_value

if TYPE_CHECKING:
    import polars as pl

    from loopwright.envelope import SignedEnvelope
    from loopwright.sections import DecideSection

__all__ = ["decide"]


class _Context(Protocol):
    """The part of `loopwright.plugins.PhaseContext` that the gate may know: the rest would pull in runtime and store."""

    @property
    def cycle(self) -> str: ...

    @property
    def output(self) -> Path: ...


def decide(config: DecideSection, inputs: Mapping[str, Path], context: _Context) -> dict[str, Any]:
    """Write ``decision.json`` (canonical JSON) and return the summary.

    ``inputs`` has ``evaluation`` (a directory; absent where the cycle accepted no row), ``card`` (a directory) and ``decision``
    (the file of the cycle before; absent for the first model). Of the evaluation only ``gate.parquet`` and ``seeds.json`` are read: the sealed
    suite steers nothing. Without a card no lamp is lit; the flow that ships always passes one.

    Raises:
        IntegrityError: results are missing, or a later cycle was not compared with its champion.
    """
    before = json.loads(inputs["decision"].read_bytes()) if "decision" in inputs else None
    found: tuple[Lamp, ...] = ()
    card: dict[str, Any] | None = None
    history = History.of(before) if before is not None else FRESH
    if "evaluation" not in inputs:
        ruling, evidence = nothing_accepted(history), ()
    else:
        path = inputs["evaluation"] / "gate.parquet"
        ruling, evidence = _rule(config, path, history, first=before is None), (digest_bytes(path.read_bytes()),)
    if "card" in inputs:
        data = (inputs["card"] / "card.json").read_bytes()
        card = said = json.loads(data)
        found = lamps(config.card, said["figures"])
        ruling, evidence = under_lamps(ruling, found, only_say=config.card.unsafe_only_say), (*evidence, digest_bytes(data))
    enveloped: dict[str, Any] = {}
    if config.envelope is not None and before is not None and "evaluation" in inputs:
        ruling, enveloped = _enveloped(config, config.envelope, ruling, card, inputs["evaluation"] / "gate.parquet")
    policy = digest_value(config.model_dump(mode="json", exclude={"envelope", "field"}))
    decision = Decision(action=ruling.action, reasons=ruling.reasons, evidence=evidence, policy=policy)
    summary = {**_summary(ruling), "lights": {lamp.name: lamp.state for lamp in found}, **enveloped}
    if config.card.unsafe_only_say:
        summary["unsafe_only_say"] = True
    (context.output / "decision.json").write_bytes(canonical(_document(context.cycle, decision, ruling, summary)))
    return summary


def _enveloped(
    config: DecideSection, force: SignedEnvelope, ruling: Ruling, card: Mapping[str, Any] | None, path: Path
) -> tuple[Ruling, dict[str, Any]]:
    """The ruling under the envelope, and what the decision says of it."""
    import polars as pl

    verdict = judge(force.envelope, facts_of(force, card, _read(path, pl), config.headline))
    said = {"digest": force.digest, "inside": not verdict.left, "left": list(verdict.left), "stops": list(verdict.stops)}
    return under_envelope(ruling, force, verdict), {"envelope": said}


def _rule(config: DecideSection, path: Path, history: History, *, first: bool) -> Ruling:
    import polars as pl

    table = _read(path, pl)
    alone = table["champion"].null_count() == table.height
    if first and alone:
        if table["passed"].null_count() or not table.height:
            raise IntegrityError(f"{path.name} has tasks without a result", "run the evaluate phase again")
        return first_champion(table.height, int(table["passed"].sum()))
    seeds = path.with_name("seeds.json")
    return decide_promotion(config, table, history, json.loads(seeds.read_bytes()) if seeds.exists() else None)


def _read(path: Path, polars: Any) -> pl.DataFrame:
    wanted = ["task", "level", "passed", "champion"]
    try:
        table = polars.read_parquet(path)
        return table.select([*wanted, *(["slices"] if "slices" in table.columns else [])])
    except (OSError, polars.exceptions.PolarsError) as error:
        raise IntegrityError(f"{path} is no table of gate results: {error}", "run the evaluate phase again") from error


def _summary(ruling: Ruling) -> dict[str, Any]:
    return {
        "action": ruling.action,
        "reasons": list(ruling.reasons),
        "gain": asdict(ruling.gain) if ruling.gain else None,
        "p_value": ruling.p_value,
        "alpha": ruling.alpha,
        "look": ruling.history.look,
        "spent": ruling.history.spent,
        "carried": ruling.history.carried,
        "peak": ruling.history.peak,
    }


def _document(cycle: str, decision: Decision, ruling: Ruling, summary: Mapping[str, Any]) -> dict[str, Any]:
    evidence: list[Digest] = list(decision.evidence)
    return {
        "schema": 1,
        "cycle": cycle,
        **summary,
        "retention": asdict(ruling.retention) if ruling.retention else None,
        "test": "McNemar exact, one-sided",
        "spending": "online fallback over alpha / (k (k + 1)) at look k",
        "evidence": evidence,
        "policy": decision.policy,
    }
