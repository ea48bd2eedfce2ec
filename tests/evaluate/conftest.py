"""Suites of sums, a model that is a table of answers, and a domain that judges them as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from loopwright.evaluate import sampling
from loopwright.plugins import PhaseContext, Sample
from loopwright.sections import EvaluateSection, PassAtSection
from loopwright.store.tables import write_tasks
from loopwright.types import Check, Task, Verdict

LEVELS = range(2, 9)


def make(suite: str, level: int, number: int) -> Task:
    name = f"{suite} {level} {number}"
    check = Check(inputs=(level,), outputs=(f"{name}!",))
    return Task(
        id=name.replace(" ", "-"), prompt=name, level=level, signature=name, checks={suite: check},
        slices={"parity": "even" if number % 2 == 0 else "odd"},
    )  # fmt: skip


class Family:
    """A model is a mapping of prompts to answers; drawn answers are ``number % 3 == 0`` of their seed's rank."""

    loads = 0

    def load(self, directory: Path) -> Mapping[str, str]:
        type(self).loads += 1
        return json.loads((directory / "model.json").read_text())

    def sample(self, model, prompts, seeds, temperature, max_new) -> list[Sample]:
        if temperature == 0:
            assert not any(seeds)
            return [Sample(text=model.get(prompt, ""), tokens=2) for prompt in prompts]
        return [
            Sample(text=f"{prompt}!" if seed % 3 == 0 else str(seed), tokens=3)
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]


@dataclass
class Domain:
    judged: list[tuple[str, tuple[str, ...], str]] = field(default_factory=list)

    def judge(self, pairs, purposes, sandbox, progress=None) -> list[Verdict]:
        self.judged += [(task.id, tuple(purposes), answer) for task, answer in pairs]
        return [self._verdict(task, answer, *purposes) for task, answer in pairs]

    def _verdict(self, task: Task, answer: str, purpose: str) -> Verdict:
        if answer.startswith("~"):
            return Verdict(status=answer[1:], level="SL3")
        return Verdict(status="PASS" if answer == task.checks[purpose].outputs[0] else "FAIL", level="SL3")


@dataclass
class Here:
    """Runs work items in this process and remembers them."""

    items: list[Mapping[str, Any]] = field(default_factory=list)

    def map(self, function, items, progress=None, unit=""):
        self.items += [json.loads(json.dumps(item)) for item in items]  # plain JSON, as on a cluster
        return [json.loads(json.dumps(function(item))) for item in items]


@dataclass
class Lab:
    root: Path
    per_level: int = 10
    domain: Domain = field(default_factory=Domain)
    executor: Here = field(default_factory=Here)

    def __post_init__(self) -> None:
        self.suites = {
            suite: [make(suite, level, number) for level in LEVELS for number in range(self.per_level)]
            for suite in ("gate", "sealed")
        }
        for suite, tasks in self.suites.items():
            write_tasks(self.root / "suites" / f"{suite}.parquet", tasks)

    def model(self, name: str, solves: int, **answers: str) -> Path:
        """A model that solves the first ``solves`` tasks of each level and gives ``answers`` (by prompt) otherwise."""
        folder = self.root / name
        folder.mkdir()
        known = {
            task.prompt: f"{task.prompt}!"
            for tasks in self.suites.values()
            for task in tasks
            if int(task.prompt.split()[2]) < solves
        }
        (folder / "model.json").write_text(json.dumps({**known, **answers}))
        return folder

    def context(self, output: str, cycle: str = "c0001") -> PhaseContext:
        (self.root / output).mkdir()
        return PhaseContext(
            cycle=cycle, root=self.root, seed=11, output=self.root / output, scratch=self.root, domain=self.domain,
            family=Family(), executor=self.executor, sandbox=None, progress=lambda *_: None,
            refs={"model": {"name": "table", "settings": {}}, "domain": {"name": "programs", "settings": {}}},
        )  # fmt: skip

    def config(self, *cycles: str, **changes: Any) -> EvaluateSection:
        values = {
            "headline": (4, 8),
            "shard_tasks": 32,
            "max_new_tokens": 9,
            "pass_at": PassAtSection(k=4, temperature=0.8, cycles=cycles),
        }
        return EvaluateSection(**{**values, **changes})


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr(sampling, "load_family", lambda *_: Family())
    sampling._load.cache_clear()
    Family.loads = 0
    return Lab(root=tmp_path)


@pytest.fixture
def loads():
    """How often a model was read."""
    return lambda: Family.loads
