"""A workspace in which the seed phase has run on a small `programs` domain, and an untrained champion."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from loopwright.generate.human import seed
from loopwright.plan import Source
from loopwright.plugins import PhaseContext, load_domain, load_family
from loopwright.runtime.inprocess import InProcessExecutor
from loopwright.sandbox import Sandbox
from loopwright.sandbox.pool import open_sandbox
from loopwright.sections import SeedSection
from loopwright.store.artifacts import manifest_of, publish, seal, write_manifest

REFS = {
    "domain": {"name": "programs", "settings": {"suite_per_level": 3, "human_level_2": 12, "human_level_3": 15}},
    "model": {"name": "tiny-transformer", "settings": {"width": 16, "layers": 1, "heads": 2}},
}


@dataclass
class Lab:
    """Runs phases in a directory and records their outputs as the driver does, without ledger and DVC."""

    root: Path
    sandbox: Sandbox
    domain: Any = field(default_factory=lambda: load_domain(**REFS["domain"]))
    executor: Any = field(default_factory=InProcessExecutor)
    steps: list[tuple[int, int, str]] = field(default_factory=list)
    tries: int = 0

    def context(self, cycle: str, **changes: Any) -> PhaseContext:
        self.tries += 1
        place = self.root / ".loopwright" / f"{cycle}-{self.tries}"
        place.mkdir(parents=True)
        plain = PhaseContext(
            cycle=cycle, root=self.root, seed=7, output=place, scratch=place, domain=self.domain,
            family=load_family(**REFS["model"]), executor=self.executor, sandbox=self.sandbox,
            progress=lambda *step: self.steps.append(step), refs=REFS,
        )  # fmt: skip
        return replace(plain, **changes)

    def record(self, context: PhaseContext, *names: str) -> None:
        for name in names:
            sealed = seal(context.output / name, name)
            publish(context.output / name, self.root / "cycles" / context.cycle / name, sealed)

    def seed(self, *sources: Source) -> tuple[dict[str, Any], Path]:
        """The seed phase's summary and where its outputs are, not recorded."""
        context = self.context("c0000")
        return seed(SeedSection(sources=sources), {"sources": self.root / "sources"}, context), context.output


def contents(directory: Path) -> Mapping[str, bytes]:
    """Every file below a directory."""
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with open_sandbox("SL1", 1) as opened:
        yield opened


@pytest.fixture
def lab(tmp_path: Path, sandbox: Sandbox) -> Lab:
    """Nothing has run yet."""
    (tmp_path / "sources").mkdir()
    return Lab(root=tmp_path, sandbox=sandbox)


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> Lab:
    """c0000 is recorded, with a champion that has learned nothing yet. Shared: tests only add outputs of their own."""
    made = Lab(root=tmp_path_factory.mktemp("lab"), sandbox=sandbox)
    context = made.context("c0000")
    seed(SeedSection(sources=()), {}, context)
    made.record(context, "suites", "heldout", "accepted", "archive")
    family = load_family(**REFS["model"])
    model = made.root / "cycles" / "c0000" / "model"
    family.save(family.create(made.domain.alphabet(), 3), model)
    write_manifest(manifest_of(model), seal(model, "model").manifest)
    return made


@pytest.fixture(scope="session")
def files() -> Callable[[Path], Mapping[str, bytes]]:
    return contents


class Backwards:
    """An executor that does the last item first, in processes of their own."""

    def map(self, function: Any, items: Sequence[Any], progress: Any = None, unit: str = "") -> list[Any]:
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            return list(pool.map(function, list(items)[::-1]))[::-1]


@pytest.fixture
def backwards() -> Backwards:
    return Backwards()
