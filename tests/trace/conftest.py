"""Small real loops for lineage, recall, reproduction and difference; made once, copied by tests that spoil them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loopwright.session import open_run
from loopwright.workspace import Workspace, load_flow, set_plan
from tests.run.small import copy_of, make_small

POISON = [("add 3", "x=[3+v for v in x]", "4f2c" * 16), ("drop 2", "x=x[1:][1:]", "0a0a" * 16)]
"""Prompt, answer, and the salted digest of whoever wrote it."""


class Quiet:
    """An observer that says nothing."""

    def event(self, cycle: str, phase: str, step: str, facts: Any) -> None: ...

    def progress(self, cycle: str, phase: str, done: int, total: int, unit: str) -> None: ...


def turn(workspace: Workspace, until: int) -> None:
    with open_run(workspace, Quiet()) as run:
        load_flow(workspace.root)(run, until)


def add_source(root: Path, name: str, rows: list[tuple[str, str, str]], licence: str) -> dict[str, str]:
    lines = [json.dumps({"prompt": prompt, "answer": answer, "person": person}) for prompt, answer, person in rows]
    (root / "sources" / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"path": f"sources/{name}.jsonl", "licence": licence, "origin": "a test"}


def three_cycles(folder: Path) -> Path:
    """Three closed cycles (c0000 to c0002), with a source that is to be found bad."""
    workspace = make_small(folder / "lab")
    entry = add_source(workspace.root, "bad", POISON, "CC-BY-SA-4.0")
    set_plan(workspace.root, {"sources": [entry]})
    subprocess.run(["git", "add", "-A"], cwd=workspace.root, check=True)
    subprocess.run(["git", "commit", "-qm", "a source"], cwd=workspace.root, check=True)
    turn(workspace, 2)
    return workspace.root


@pytest.fixture
def lab(turned: Path, tmp_path: Path) -> Workspace:
    """A copy of it that a test may spoil."""
    return copy_of(turned, tmp_path / "lab")


@pytest.fixture
def turner() -> Callable[[Workspace, int], None]:
    return turn
