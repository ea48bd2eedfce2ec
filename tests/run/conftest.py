"""A server that turns small loops in processes which may be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from loopwright.workspace import Workspace
from tests.run.small import copy_of, make_small


@contextmanager
def server(**environment: str) -> Iterator[Callable[..., dict[str, Any]]]:
    """``turn(root, until, kill, mark, by)`` turns a loop in a process of its own that may be killed; returns how it ended."""
    command = [sys.executable, str(Path(__file__).with_name("victim.py"))]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env={**os.environ, **environment}, **pipes) as process:

        def turn(
            root: Path,
            until: int,
            kill: tuple[str, str, str] | None = None,
            mark: Path | None = None,
            by: signal.Signals = signal.SIGKILL,
        ) -> dict[str, Any]:
            assert process.stdin
            assert process.stdout
            request = {"workspace": str(root), "until": until, "kill": kill, "mark": str(mark) if mark else None, "by": int(by)}
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield turn
        assert process.stdin
        process.stdin.close()


@pytest.fixture(scope="session")
def victim() -> Iterator[Callable[..., dict[str, Any]]]:
    """Turns loops on this machine."""
    with server() as turn:
        yield turn


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory, victim: Callable[..., dict[str, Any]]) -> Path:
    """A workspace in which c0000 is closed; tests copy it."""
    workspace = make_small(tmp_path_factory.mktemp("seeded") / "lab")
    assert victim(workspace.root, 0)["code"] == 0
    return workspace.root


@pytest.fixture
def lab(seeded: Path, tmp_path: Path) -> Workspace:
    """A copy of the seeded workspace that a test may spoil."""
    return copy_of(seeded, tmp_path / "lab")
