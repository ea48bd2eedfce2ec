"""Generating for the next cycle while this one trains (`runtime.overlap` in the plan).

It is done on a guess: that the gate will leave the champion where it is, and that no recipe, plan or code changes. What the guess
says is a phase key. If the next cycle asks for that very key, what was made is taken up like the work of a killed run; if it asks
for another, what was made is thrown away and its cost is on the record. So no model is ever trained on what an older generator
than its own champion made (the bound of staleness is 0), and every artifact is what it would have been without.

A process of its own does it (`loopwright.ahead_host`): with another executor, killed with this one, and writing to scratch alone.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loopwright.attempt import Attempt, killed
from loopwright.clock import now
from loopwright.errors import PlanError
from loopwright.plan import Plan
from loopwright.prompts import generator_prompts
from loopwright.run import Ahead, NotAhead, Run
from loopwright.runtime.profile import IN_PROCESS, load_profile
from loopwright.sections import generate_section
from loopwright.starting import NO_RECIPE, start
from loopwright.store.files import write_atomic
from loopwright.types import Artifact, Phase, canonical, cycle_name, cycle_number, seed_of

__all__ = ["FILE", "PROGRESS", "ahead_of"]

FILE, PROGRESS = "ahead.json", "ahead.progress"
"""In the place of the phase key: what the other process is told, and how far it says it is."""
_LOOK_SECONDS = 0.2


@contextmanager
def ahead_of(plan: Plan, root: Path) -> Iterator[Ahead]:
    """What a run begins ahead of its cycles by; nothing is left of it after the ``with`` block.

    Raises:
        PlanError: the plan wants it where training and generation would take each other's processors.
    """
    if not plan.runtime.overlap:
        yield NotAhead()
        return
    profile = load_profile(root, plan.runtime.profile)
    if plan.generator.endpoint is None and profile.executor != IN_PROCESS and profile.address == "local":
        raise PlanError(
            f"loop.yaml: runtime.overlap: {plan.runtime.profile} opens a Ray on this machine alone, which training has to itself",
            "name a profile with the address of a cluster (`map_labels` and `train_labels` keep both apart), or leave overlap out",
        )
    begun = _Begun()
    try:
        yield begun
    finally:
        begun.end()


class _Begun:
    """At most one process, for one phase key."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._attempt: Attempt | None = None
        self._place = Path()

    def begin(self, run: Run, phase: Phase) -> None:
        """Start, where the training phase of a cycle begins that is not the last and has a champion to generate with."""
        number = cycle_number(run.cycle) + 1
        if phase != "train" or run.state.champion is None or number > run.until or self._process is not None:
            return
        name = cycle_name(number)
        state = start(run.root, run.state, run.state.champion, run.cycle, NO_RECIPE)
        inputs = {"recipe": state.recipe, "model": state.champion, "accepted": state.curriculum, "heldout": state.heldout}
        named: dict[str, Artifact] = {key: artifact for key, artifact in inputs.items() if artifact is not None}
        section = generate_section(run.plan, generator_prompts(run.root, run.plan))
        self._attempt, config = run.attempt("generate", section, named, name, seed_of("cycle", run.plan.seed, name))
        self._place = run.place(self._attempt)
        if (self._place / "result.json").exists():
            self._attempt = None
            return
        self._place.mkdir(parents=True, exist_ok=True)
        told = {"config": json.loads(config), "inputs": {key: artifact.path for key, artifact in named.items()}}
        write_atomic(self._place / FILE, canonical(told))
        with (self._place / "ahead.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "loopwright.ahead_host", str(run.root), str(self._place)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us to handle
            )

    def take(self, run: Run, attempt: Attempt) -> Attempt:
        """Wait for it where it does this very work; throw it away where the next cycle came to want another."""
        if attempt.phase != "generate" or self._attempt is None:
            return attempt
        if attempt.key == self._attempt.key:
            failed = self._wait(run)
            self._attempt = self._process = None
            message = f"what ran ahead of its cycle ended with code {failed}"
            return run.again(attempt, "Ahead", message, _times(run, attempt)) if failed else attempt
        other, place = self._attempt, self._place
        self.end()
        message = "made ahead of its cycle for another champion, recipe, plan or code than it then had"
        run.again(other, "NotNeeded", message, _times(run, other))
        shutil.rmtree(place, ignore_errors=True)
        return attempt

    def end(self) -> None:
        """Whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._attempt = self._process = None

    def _wait(self, run: Run) -> int:
        """Its exit code, when it has ended; meanwhile its progress is this phase's.

        Raises:
            HaltedError, Preempted: as `loopwright.supervisor.Supervisor.check`.
        """
        seen = None
        while self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._process.wait(_LOOK_SECONDS)
            run.supervisor.check(run.cycle, "generate")
            with contextlib.suppress(OSError, ValueError):
                told = json.loads((self._place / PROGRESS).read_bytes())
                if told != seen:
                    seen = told
                    run.observer.progress(run.cycle, "generate", *told)
        return 0


def _times(run: Run, attempt: Attempt) -> tuple[str, str]:
    """When it began, and its last sign of life."""
    return killed(run.place(attempt)) or (attempt.started_at, now())
