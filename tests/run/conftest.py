"""A server that turns small loops in processes which may be killed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loopwright.workspace import Workspace
from tests.run.small import copy_of, make_small


@pytest.fixture(scope="session")
def victim() -> Iterator[Callable[..., dict[str, Any]]]:
    """``victim(root, until, kill)`` turns a loop in a process of its own that may be killed; returns how it ended."""
    script = Path(__file__).with_name("victim.py")
    with subprocess.Popen([sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:

        def turn(root: Path, until: int, kill: tuple[str, str, str] | None = None) -> dict[str, Any]:
            assert server.stdin
            assert server.stdout
            server.stdin.write(json.dumps({"workspace": str(root), "until": until, "kill": kill}) + "\n")
            server.stdin.flush()
            return json.loads(server.stdout.readline())

        yield turn
        assert server.stdin
        server.stdin.close()


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
