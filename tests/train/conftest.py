"""A toy archive (letters, to be reversed), jobs to train on it, and a worker that needs no executor."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from loopwright.store.tables import ROWS, write_table

RECIPE = {
    "steps": 9,
    "batch": 8,
    "shards": 2,
    "lr": 0.003,
    "warmup": 2,
    "betas": [0.9, 0.98],
    "weight_decay": 0.05,
    "clip": 1.0,
    "floor": 0.1,
    "human_share": 0.5,
}


class LoneWorker:
    """One rank; keeps what is reported, and can die when a step is reached."""

    rank, world_size, device = 0, 1, "cpu"

    def __init__(self, storage: Path, dies_at: int | None = None) -> None:
        self.storage = storage
        self.reports: list[Mapping[str, float]] = []
        self.directories: list[Path] = []
        self._dies_at = dies_at

    def report(self, metrics: Mapping[str, float], directory: Path | None = None) -> None:
        self.reports.append(metrics)
        if directory is not None:
            (directory / "registered").touch()
            self.directories.append(directory)
        if metrics["step"] == self._dies_at:
            raise KeyboardInterrupt

    def latest(self) -> Path | None:
        return max(self.storage.glob("step_*"), default=None)

    def agree(self, value: Any) -> Any:
        return value


def row(prompt: str, answer: str, origin: str) -> dict[str, Any]:
    texts = dict.fromkeys(ROWS, "")
    return texts | {"id": f"{prompt}/{origin}", "prompt": prompt, "answer": answer, "level": 1, "origin": origin}


def words(length: int) -> list[tuple[str, str]]:
    return [(" ".join(letters), "".join(reversed(letters)).upper()) for letters in itertools.product("abc", repeat=length)]


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two accepted directories: 39 human rows of up to three letters, 81 model-made ones of four."""
    root = tmp_path_factory.mktemp("archive")
    human = [row(*pair, "human") for length in (1, 2, 3) for pair in words(length)]
    made = [row(*pair, "sha256:" + "0" * 64) for pair in words(4)]
    write_table(root / "one" / "rows.parquet", ROWS, human)
    write_table(root / "two" / "rows.parquet", ROWS, made)
    return [str(root / "one"), str(root / "two")]


@pytest.fixture
def job(shards: list[str], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """A job on the toy archive; keywords change its recipe."""

    def make(**changes: Any) -> dict[str, Any]:
        made = {
            "key": "toy",
            "storage": str(tmp_path),
            "family": {"name": "tiny-transformer", "settings": {"width": 16, "layers": 1, "heads": 2}},
            "model": None,
            "alphabet": {"words": ["a", "b", "c"], "lexemes": ["A", "B", "C"]},
            "rows": shards,
            "recipe": RECIPE | changes,
            "seed": 5,
            "threads": 1,
            "checkpoint_every": 4,
            "parallel": "auto",
        }
        return json.loads(json.dumps(made))

    return make


@pytest.fixture
def lone(tmp_path: Path) -> Callable[..., LoneWorker]:
    """A worker whose storage has the given name."""

    def make(name: str = "toy", **options: Any) -> LoneWorker:
        (tmp_path / name).mkdir(exist_ok=True)
        return LoneWorker(tmp_path / name, **options)

    return make
