"""A workspace with one seed cycle, and a domain of sums whose verdicts are written in the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from loopwright.plugins import PhaseContext
from loopwright.sections import VerifySection
from loopwright.store.archive import describe, write_link
from loopwright.store.artifacts import manifest_of, seal, write_manifest
from loopwright.store.tables import PROPOSALS, ROWS, SIGNATURES, write_table
from loopwright.types import Check, Task, Verdict, canonical, digest_value

GENERATOR = "sha256:" + "7" * 64


@dataclass
class Sums:
    """``3 4`` is answered by ``7``; the level is how many numbers there are.

    ``~7`` passes the visible check alone, ``!TIMEOUT`` and the like end with that status, ``=7`` is right as well.
    """

    level: str = "SL2"
    judged: list[tuple[str, str]] = field(default_factory=list)

    def task(self, prompt: str) -> Task:
        numbers = [int(word) for word in prompt.split(" ")]
        check = Check(inputs=(0,), outputs=(sum(numbers),))
        return Task(
            id=digest_value(prompt)[7:23], prompt=prompt, level=len(numbers), signature=f"sum-{sum(numbers)}",
            checks={"visible": check, "hidden": check}, slices={},
        )  # fmt: skip

    def judge(self, pairs, purposes, sandbox, progress=None) -> list[Verdict]:
        assert tuple(purposes) == ("visible", "hidden")
        self.judged += [(task.prompt, answer) for task, answer in pairs]
        return [self._verdict(task, answer) for task, answer in pairs]

    def _verdict(self, task: Task, answer: str) -> Verdict:
        right = str(task.checks["hidden"].outputs[0])
        if answer.startswith("!"):
            return Verdict(status=answer[1:], level=self.level, reason=f"at 0x{id(task):x}: visible check passed, PASS")
        if answer in {right, f"={right}", f"0{right}"}:
            return Verdict(status="PASS", level=self.level)
        return Verdict(status="FAIL", level=self.level, reason=f"{'hidden' if answer == f'~{right}' else 'visible'} check 0")


@dataclass
class Jail:
    level: str = "SL2"


def task_row(prompt: str, answer: str, sample: int, /, **changes: Any) -> dict[str, Any]:
    task = Sums().task(prompt)
    row = {
        "id": digest_value([prompt, sample])[7:23], "task": task.id, "prompt": prompt, "level": task.level,
        "sample": sample, "answer": answer, "tokens": 3, "seed": 1,
    }  # fmt: skip
    return {**row, **changes}


@dataclass
class Workspace:
    root: Path
    domain: Sums = field(default_factory=Sums)
    jail: Jail = field(default_factory=Jail)
    cycle: str = "c0001"
    weights: Mapping[str, float] = field(default_factory=dict)
    """Levels that the generator was asked for."""

    @property
    def inputs(self) -> dict[str, Path]:
        """Of the verify phase."""
        first = self.root / "cycles" / "c0000"
        return {"proposals": self.root / "proposals", "archive": first / "archive", "heldout": first / "heldout"}

    def propose(self, *shards: Iterable[Mapping[str, Any]], recipe: str | None = None) -> None:
        folder = self.root / "proposals"
        folder.mkdir(exist_ok=True)
        for number, rows in enumerate(shards):
            write_table(folder / f"shard-{number:05d}.parquet", PROPOSALS, list(rows))
        (folder / "generation.json").write_bytes(canonical({"model": GENERATOR, "weights": self.weights}))
        if recipe is not None:
            (folder / "recipe.diff").write_text(recipe)

    def context(self, output: str = "out") -> PhaseContext:
        (self.root / output).mkdir()
        return PhaseContext(
            cycle=self.cycle, root=self.root, seed=1, output=self.root / output, scratch=self.root, domain=self.domain,
            family=None, executor=None, sandbox=self.jail, progress=lambda *_: None,
            refs={"domain": {"name": "programs", "settings": {}}},
        )  # fmt: skip

    def config(self, **changes: Any) -> VerifySection:
        base = (Path(__file__).parents[2] / "src/loopwright/_template/recipe.yaml").read_text()
        return VerifySection(**{"recipe_base": base, "human_floor": 0.5, **changes})


def record(root: Path, path: str, kind: str) -> None:
    """What the driver does with an output: seal it and write its manifest."""
    write_manifest(manifest_of(root / path), seal(root / path, kind).manifest)


def human_row(prompt: str, answer: str) -> dict[str, Any]:
    task = Sums().task(prompt)
    return {
        "id": task.id, "task": task.id, "prompt": prompt, "answer": answer, "level": task.level, "origin": "human",
        "licence": "CC0-1.0", "signature": task.signature, "cycle": "c0000", "prompt_digest": "", "verifier": "x",
    }  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """c0000 with two human rows; the behaviour ``sum-13`` is held out."""
    first = tmp_path / "cycles" / "c0000"
    write_table(first / "accepted" / "rows.parquet", ROWS, [human_row("1", "1"), human_row("2 2", "4")])
    record(tmp_path, "cycles/c0000/accepted", "accepted")
    (first / "archive").mkdir()
    write_link(first / "archive", describe(tmp_path, "c0000", None, "cycles/c0000/accepted", 2, 2))
    record(tmp_path, "cycles/c0000/archive", "archive")
    write_table(first / "heldout" / "signatures.parquet", SIGNATURES, [{"signature": "sum-13", "suite": "gate"}])
    return Workspace(root=tmp_path)


@pytest.fixture
def row() -> Callable[..., dict[str, Any]]:
    """``row(prompt, answer, sample, **changes)``: one proposed row."""
    return task_row


@pytest.fixture
def recorded() -> Callable[[Path, str, str], None]:
    """``recorded(root, path, kind)``: seal an output and write its manifest."""
    return record
