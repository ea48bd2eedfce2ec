"""One small workspace of four cycles, made once, for the tests that only look at it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from loopwright.store.dvc import DvcStore
from loopwright.store.hashing import Sealed
from tests.store import fake


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """c0001 was rejected, so c0002 goes on from c0000 again; in c0003 no row was accepted."""

    root: Path
    store: DvcStore
    sealed: dict[str, Sealed]
    """By path."""


@pytest.fixture(scope="session")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    root = tmp_path_factory.mktemp("loop") / "lab"
    store = fake.make(root)
    sealed = fake.turn(store, root, "c0000")
    sealed |= fake.turn(store, root, "c0001", parent="c0000", prev="c0000")
    sealed |= fake.turn(store, root, "c0002", parent="c0000", prev="c0001")
    sealed |= fake.turn(
        store, root, "c0003", parent="c0002", prev="c0002", phases=("generate", "verify", "merge", "examine", "decide")
    )
    store.push()
    yield Loop(root=root, store=store, sealed=sealed)
    store.close()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[tuple[Path, DvcStore]]:
    """A fresh workspace to do damage in."""
    store = fake.make(tmp_path / "lab")
    yield tmp_path / "lab", store
    store.close()
