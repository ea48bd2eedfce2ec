"""Every phase: what it is called with, what it leaves, who signs for it; and its work, from inputs to outputs that are sealed in scratch.

Nothing here is recorded: that is `loopwright.run`'s, and whatever else does the work of a phase leaves it where `run` finds it.
"""

from __future__ import annotations

import importlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loopwright.attempt import Finished, begin
from loopwright.clock import now
from loopwright.endpoint import spent
from loopwright.energy import Meter
from loopwright.plan import Section
from loopwright.plugins import PhaseContext
from loopwright.runtime.checkpoints import unask
from loopwright.sandbox.canary import flown
from loopwright.store.artifacts import left, seal
from loopwright.types import canonical

__all__ = ["SPECS", "PhaseSpec", "call_phase", "cleared", "work"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseSpec:
    """What a phase is called with, what it leaves, and who signs for it."""

    function: str
    """``module:name``; imported when it is called."""
    inputs: tuple[str, ...]
    """Names, in the order in which ``flows/cycle.py`` passes them."""
    outputs: tuple[str, ...]
    role: str
    """Whose key signs the statement."""
    packages: tuple[str, ...]
    """Whose sources go into the code digest, besides the plug-ins in use."""


SPECS: Mapping[str, PhaseSpec] = {
    "seed": PhaseSpec(
        function="loopwright.generate.human:seed",
        inputs=("sources",),
        outputs=("suites", "heldout", "accepted", "archive"),
        role="controller",
        packages=("loopwright.generate", "loopwright.sandbox"),
    ),
    "generate": PhaseSpec(
        function="loopwright.generate:generate",
        inputs=("recipe", "model", "accepted", "heldout"),
        outputs=("proposals",),
        role="generator",
        packages=("loopwright.generate",),
    ),
    "verify": PhaseSpec(
        function="loopwright.verify:verify",
        inputs=("proposals", "archive", "heldout"),
        outputs=("accepted",),
        role="verifier",
        packages=("loopwright.verify", "loopwright.sandbox"),
    ),
    "merge": PhaseSpec(
        function="loopwright.verify:merge",
        inputs=("archive", "accepted"),
        outputs=("archive",),
        role="controller",
        packages=("loopwright.verify",),
    ),
    "train": PhaseSpec(
        function="loopwright.train:train",
        inputs=("model", "archive"),
        outputs=("model",),
        role="trainer",
        packages=("loopwright.train",),
    ),
    "evaluate": PhaseSpec(
        function="loopwright.evaluate:evaluate",
        inputs=("evaluation", "model", "suites"),
        outputs=("evaluation",),
        role="evaluator",
        packages=("loopwright.evaluate", "loopwright.sandbox"),
    ),
    "examine": PhaseSpec(
        function="loopwright.evaluate:examine",
        inputs=("card", "first", "model", "accepted", "archive", "evaluation", "suites"),
        outputs=("card",),
        role="evaluator",
        packages=("loopwright.evaluate", "loopwright.sandbox"),
    ),
    "decide": PhaseSpec(
        function="loopwright.gate:decide",
        inputs=("evaluation", "card", "decision"),
        outputs=("decision",),
        role="gate",
        packages=("loopwright.gate",),
    ),
}
"""Every phase. The order of a cycle is not here but in ``flows/cycle.py``."""


def cleared(place: Path) -> tuple[Path, Path]:
    """An empty folder for the outputs in the place of a phase key, and the scratch in which an earlier try left what it kept."""
    output, scratch = place / "output", place / "scratch"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    scratch.mkdir(exist_ok=True)
    unask(scratch)
    return output, scratch


def work(
    place: Path,
    files: Mapping[str, str],
    call: Callable[[], dict[str, Any]],
    meter: Meter,
    tell: Callable[[str], None],
    *,
    ahead: bool = False,
) -> Finished:
    """Do it, seal what came out, and leave all in ``place`` for whoever asks for that key.

    Args:
        place: of the phase key, `cleared`.
        files: what each output is called below ``output``.
        call: calls the phase; its summary.
        meter: tells what it drew.
        tell: hears of the boundaries, ``worked`` and ``sealed``.
        ahead: the cycle is not open yet.
    """
    started, clock = now(), time.monotonic()
    begin(place, started)
    meter.begin()
    summary = call()
    energy = meter.end()
    tell("worked")
    known = left(place / "scratch")  # what was hashed on the way out is not read again
    sealed = {name: seal(place / "output" / file, name, known=known) for name, file in files.items()}
    took: dict[str, Any] = {"started_at": started, "seconds": time.monotonic() - clock, "energy": energy}
    finished = Finished(place=place, summary=summary, sealed=sealed, finished_at=now(), ahead=ahead, **took)
    finished.write()
    tell("sealed")
    return finished


def call_phase(spec: PhaseSpec, section: Section, inputs: Mapping[str, Path], context: PhaseContext) -> dict[str, Any]:
    """Call the phase's function: pure, without ledger, key, DVC or git. Its summary goes through canonical JSON.

    Where answers were judged, the summary says how many canaries came back right among them.
    """
    module, _, name = spec.function.partition(":")
    flown(context.sandbox)  # what an attempt that failed left uncounted
    summary = getattr(importlib.import_module(module), name)(section, inputs, context)
    return json.loads(canonical({**summary, **flown(context.sandbox), **spent(context.scratch)}))
