"""The process that generates ahead of a cycle: ``python -m loopwright.ahead_host ROOT PLACE`` (see `loopwright.ahead`).

It holds no lease and no key but the sealer's, writes to its place in scratch alone, and dies with the driver.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path

from loopwright.ahead import FILE, PROGRESS
from loopwright.phases import SPECS, call_phase, cleared, work
from loopwright.plan import Plan
from loopwright.plugins import PhaseContext
from loopwright.runtime.kept import KeptExecutor
from loopwright.runtime.profile import IN_PROCESS
from loopwright.sections import GenerateSection
from loopwright.session import open_tools
from loopwright.store.files import write_atomic

__all__ = ["main"]

_DIE_WITH_PARENT = 1
"""Linux' PR_SET_PDEATHSIG."""
_TELL_SECONDS = 0.2


class Unmetered:
    """The figure of the training beside it holds what this draws."""

    def begin(self) -> None:
        """Nothing to start."""

    def end(self) -> dict[str, str]:
        return {"how": "not measured", "why": "done beside the training of the cycle before, whose figure holds it"}


class Progress:
    """How far it is, in a file that is always whole."""

    def __init__(self, file: Path) -> None:
        self._file, self._told = file, 0.0

    def __call__(self, done: int, total: int, unit: str) -> None:
        if done < total and time.monotonic() - self._told < _TELL_SECONDS:
            return
        self._told = time.monotonic()
        write_atomic(self._file, json.dumps([done, total, unit]).encode())


def generate(root: Path, place: Path) -> None:
    """Do what the file in ``place`` says, and leave it there as a run of the phase itself would."""
    told = json.loads((place / FILE).read_bytes())
    config, spec = told["config"], SPECS["generate"]
    plan = Plan.model_validate_json((root / "plan.json").read_bytes())
    section = GenerateSection.model_validate_json(json.dumps(config["config"]))
    output, scratch = cleared(place)
    profile = IN_PROCESS if section.endpoint else plan.runtime.profile  # who only asks computes nothing
    with open_tools(plan, root, profile, warm=False) as tools:
        context = PhaseContext(
            cycle=config["cycle"],
            root=root,
            seed=config["seed"],
            output=output,
            scratch=scratch,
            domain=tools.domain,
            family=tools.family,
            executor=KeptExecutor(tools.executor, scratch / "done"),
            sandbox=tools.sandbox,
            progress=Progress(place / PROGRESS),
            refs=config["refs"],
            sealer=tools.sealer,
        )
        inputs = {name: root / path for name, path in told["inputs"].items()}
        files = {"proposals": "proposals"}
        work(place, files, lambda: call_phase(spec, section, inputs, context), Unmetered(), lambda _: None, ahead=True)


def main() -> None:
    """Entry point of the process."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, int(signal.SIGKILL))
    if os.getppid() == parent:  # else it died before we could say so
        generate(Path(sys.argv[1]), Path(sys.argv[2]))


if __name__ == "__main__":
    main()
