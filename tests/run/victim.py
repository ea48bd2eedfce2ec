"""Turns a loop in forked children and lets them be killed at a named boundary. Started by the tests as a server.

Each line on stdin is JSON: ``{"workspace", "until", "kill": [cycle, phase, step] | null, "mark": path | null, "by": signal}``;
``step`` may be ``middle``. With ``mark`` that file is made in place of a kill, and what then happens is somebody else's doing; what the child says
goes into ``said.txt`` beside the file ``seen.txt``. The answer is the child's wait status as JSON: ``{"signal", "code"}``. Forking after the imports makes a restart cost a second, not ten.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning  # noqa: F401  # imported before the fork, so that children need not
import torch  # noqa: F401

import loopwright.evaluate
import loopwright.gate
import loopwright.generate
import loopwright.models.transformer
import loopwright.store.dvc
import loopwright.train
import loopwright.verify  # noqa: F401
from loopwright.errors import LoopwrightError
from loopwright.session import open_run
from loopwright.workspace import Workspace, load_flow


class Killer:
    """An observer that kills its own process once, as the out-of-memory killer would, and remembers what it saw."""

    def __init__(self, target: list[str] | None, seen: Path, mark: str | None, by: int) -> None:
        self.target, self.by = tuple(target) if target else None, by
        self.mark = Path(mark) if mark else None
        self.seen = seen.open("a", buffering=1)

    def event(self, cycle: str, phase: str, step: str, facts: Mapping[str, Any]) -> None:
        self.seen.write(f"{cycle} {phase} {step}\n")
        if (cycle, phase, step) == self.target:
            self.strike()

    def progress(self, cycle: str, phase: str, done: int, total: int, unit: str) -> None:
        if (cycle, phase, "middle") == self.target and done * 2 >= total:
            self.strike()

    def strike(self) -> None:
        self.target = None
        if self.mark is None:
            os.kill(os.getpid(), self.by)
        else:
            self.mark.touch()


def turn(request: dict[str, Any]) -> int:
    workspace = Workspace(root=Path(request["workspace"]))
    seen = workspace.private / "seen.txt"
    try:
        with open_run(workspace, Killer(request["kill"], seen, request["mark"], request["by"])) as run:
            load_flow(workspace.root)(run, request["until"])
    except LoopwrightError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        (workspace.private / "said.txt").write_text(f"{type(error).__name__}: {error}\n")
        return error.exit_code
    return 0


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 70
            try:
                code = turn(json.loads(line))
            except BaseException:  # noqa: BLE001  # a child must never return into the server
                traceback.print_exc()
            sys.stderr.flush()
            os._exit(code)
        _, status = os.waitpid(child, 0)
        answer = {"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None}
        answer["code"] = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
