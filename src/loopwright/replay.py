"""One phase again, from its recorded configuration and its inputs alone: no ledger, no key, no git.

This is what ``dvc repro`` calls. The same inputs give the same bytes, which DVC then compares with what was recorded.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loopwright.errors import UsageError
from loopwright.phases import SPECS, call_phase, cleared
from loopwright.plan import Mix, Plan, Section
from loopwright.plugins import PhaseContext
from loopwright.sections import (
    DecideSection,
    EvaluateSection,
    ExamineSection,
    GenerateSection,
    SeedSection,
    TrainSection,
    VerifySection,
)
from loopwright.session import open_tools
from loopwright.store.cycles import item_of
from loopwright.types import PHASES

__all__ = ["inputs_of", "recorded_plan", "replay"]

SECTIONS: Mapping[str, type[Section]] = {
    "seed": SeedSection,
    "generate": GenerateSection,
    "verify": VerifySection,
    "merge": Mix,
    "train": TrainSection,
    "evaluate": EvaluateSection,
    "examine": ExamineSection,
    "decide": DecideSection,
}
"""What the recorded configuration of a phase is read as."""


def replay(root: Path, phase: str, cycle: str) -> dict[str, Any]:
    """Run the phase and put its outputs in their places; returns the summary.

    Raises:
        UsageError: there is no such phase, or its configuration is not there.
    """
    if phase not in PHASES:
        raise UsageError(f"there is no phase {phase!r}", f"choose one of {', '.join(PHASES)}")
    config_file = root / "cycles" / cycle / "config" / f"{phase}.json"
    if not config_file.exists():
        raise UsageError(f"{phase} has not run in {cycle}: {config_file.relative_to(root)} is missing", "`loopwright status`")
    config = json.loads(config_file.read_bytes())
    place = root / ".loopwright" / "scratch" / f"replay-{phase}-{cycle}-{os.getpid()}"
    output, scratch = cleared(place)
    plan = recorded_plan(root, config)
    try:
        with open_tools(plan, root, "in-process") as tools:
            context = PhaseContext(
                cycle=cycle,
                root=root,
                seed=config["seed"],
                output=output,
                scratch=scratch,
                domain=tools.domain,
                family=tools.family,
                executor=tools.executor,
                sandbox=tools.sandbox,
                progress=lambda _done, _total, _unit: None,
                refs=config["refs"],
                sealer=tools.sealer,
                offline=True,
            )
            summary = call_phase(SPECS[phase], _section(phase, config["config"]), inputs_of(root, phase, cycle), context)
        for made in output.iterdir():
            target = root / "cycles" / cycle / made.name
            _clear(target)
            made.rename(target)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return summary


def inputs_of(root: Path, phase: str, cycle: str) -> dict[str, Path]:
    """Where the phase's inputs are, by name: as ``dvc.yaml`` and ``cycles.yaml`` say."""
    if cycle == "c0000":
        here = {"sources": root / "sources", "archive": root / "cycles/c0000/archive"}
        here |= {name: root / "cycles/c0000" / name for name in ("model", "suites", "evaluation", "card")}
        absent = {"train": {"model"}, "evaluate": {"evaluation"}, "examine": {"card"}}.get(phase, set())
        return {name: here[name] for name in SPECS[phase].inputs if name in here and name not in absent}
    item = item_of(root, cycle)
    own, prev, parent = (root / "cycles" / name for name in (cycle, item.prev, item.parent))
    first = root / "cycles" / "c0000"
    places = {
        "generate": (root / item.recipe, parent / "model", prev / "accepted", first / "heldout"),
        "verify": (own / "proposals", prev / "archive", first / "heldout"),
        "merge": (prev / "archive", own / "accepted"),
        "train": (parent / "model", own / "archive"),
        "evaluate": (parent / "evaluation", own / "model", first / "suites"),
        "examine": (
            prev / "card",
            first / "model",
            own / "model",
            own / "accepted",
            own / "archive",
            own / "evaluation",
            first / "suites",
        ),
        "decide": (own / "evaluation", own / "card", prev / "decision.json"),
    }[phase]
    named = dict(zip(SPECS[phase].inputs, places, strict=True))
    if phase in {"examine", "decide"} and not (own / "evaluation").exists():  # a cycle without a challenger
        return {name: path for name, path in named.items() if name not in {"first", "model", "evaluation"}}
    return named


def _section(phase: str, values: dict[str, Any]) -> Section:
    return SECTIONS[phase].model_validate_json(json.dumps(values))


def recorded_plan(root: Path, config: dict[str, Any]) -> Plan:
    """The workspace's plan where it still fits, with the plug-ins of the recorded phase."""
    path = root / "plan.json"
    recorded = json.loads(path.read_bytes()) if path.exists() else {}
    return Plan.model_validate_json(json.dumps({**recorded, **config["refs"]}))


def _clear(target: Path) -> None:
    """Make room for a replayed output; what was there is in DVC's cache under its digest."""
    if target.is_dir():
        for path in (target, *target.rglob("*")):
            if path.is_dir():
                path.chmod(0o755)
        shutil.rmtree(target)
    elif target.exists():
        target.unlink()
