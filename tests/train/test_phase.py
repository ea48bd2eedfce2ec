"""The train phase: the recipe in force, the archive's rows, a model that says how it was made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from loopwright.errors import IntegrityError, PhaseError, PlanError
from loopwright.plugins import Alphabet, PhaseContext, load_family
from loopwright.runtime.inprocess import InProcessExecutor
from loopwright.sections import TrainSection
from loopwright.store.archive import describe, write_link
from loopwright.store.artifacts import manifest_of, seal, write_manifest
from loopwright.train import train
from loopwright.written import FileStat, left

TEXT = """# short
seed: {steps: 6, batch: 4, lr: 0.003, warmup: 1, human_share: 1.0}
cycle: {steps: 4, batch: 4, lr: 0.001, warmup: 1, human_share: 0.25}
"""
OTHER = TEXT.replace("steps: 4", "steps: 3")


@pytest.fixture
def root(tmp_path: Path, shards: list[str]) -> Path:
    """Two cycles' accepted rows and archives, on record; the second accepted a recipe or not (``accepts``)."""
    for cycle, source, human in (("c0000", shards[0], 39), ("c0001", shards[1], 0)):
        place = tmp_path / "cycles" / cycle
        (place / "accepted").mkdir(parents=True)
        (place / "archive").mkdir()
        (place / "accepted" / "rows.parquet").write_bytes(Path(source, "rows.parquet").read_bytes())
        write_manifest(manifest_of(place / "accepted"), seal(place / "accepted", "accepted").manifest)
        previous = "cycles/c0000/archive" if human == 0 else None
        link(tmp_path, cycle, previous, 39 if human else 81, human)
    return tmp_path


def link(root: Path, cycle: str, previous: str | None, rows: int, human: int, recipe: str | None = None) -> None:
    place = root / "cycles" / cycle / "archive"
    for old in place.iterdir():
        old.unlink()
    write_link(place, describe(root, cycle, previous, f"cycles/{cycle}/accepted", rows, human, recipe and "accepted"))
    if recipe:
        (place / "recipe.yaml").write_text(recipe)
    write_manifest(manifest_of(place), seal(place, "archive").manifest)


@pytest.fixture
def context(root: Path) -> Callable[..., PhaseContext]:
    made = []

    def make(cycle: str = "c0001", **changes: Any) -> PhaseContext:
        made.append(cycle)
        place = root / ".loopwright" / str(len(made))
        (place / "output").mkdir(parents=True)
        (place / "scratch").mkdir()
        settings = {"width": 16, "layers": 1, "heads": 2}
        plain = PhaseContext(
            cycle=cycle, root=root, seed=3, output=place / "output", scratch=place / "scratch",
            domain=SimpleNamespace(alphabet=lambda: Alphabet(words=("a", "b", "c"), lexemes=("A", "B", "C"))),
            family=load_family("tiny-transformer", settings), executor=InProcessExecutor(), sandbox=None,
            progress=lambda *_: None, refs={"model": {"name": "tiny-transformer", "settings": settings}},
        )  # fmt: skip
        return replace(plain, **changes)

    return make


def config(recipe: str | None = None, floor: float = 0.0) -> TrainSection:
    return TrainSection(recipe=recipe, human_floor=floor, checkpoint_every=2)


def archive(root: Path, cycle: str) -> Path:
    return root / "cycles" / cycle / "archive"


def training(context: PhaseContext) -> dict[str, Any]:
    return json.loads((context.output / "model" / "training.json").read_bytes())


@pytest.fixture
def champion(root: Path, context: Any) -> Path:
    """The first model, in its place."""
    first = context("c0000")
    train(config(TEXT), {"archive": archive(root, "c0000")}, first)
    place = root / "cycles" / "c0000" / "model"
    (first.output / "model").rename(place)
    return place


def test_the_first_model_is_made_by_the_plans_recipe(root: Path, context: Any) -> None:
    here = context("c0000")
    summary = train(config(TEXT), {"archive": archive(root, "c0000")}, here)
    assert {path.name for path in (here.output / "model").iterdir()} == {
        "model.safetensors", "model.json", "recipe.yaml", "training.json",
    }  # fmt: skip
    assert (here.output / "model" / "recipe.yaml").read_text() == TEXT
    said = training(here)
    assert said["section"] == "seed"
    assert said["recipe"]["steps"] == 6
    assert said["rows"] == {"human": 39, "synthetic": 0}
    assert [step for step, _ in said["losses"]] == [1, 2, 3, 4, 5, 6]
    assert "workers" not in said
    assert summary["steps"] == 6
    assert summary["workers"] == 1
    assert summary["tokens"] == said["tokens"] > 0
    assert summary["loss_first"] == pytest.approx(sum(loss for _, loss in said["losses"]) / 6, abs=1e-5)
    here.family.load(here.output / "model")
    weights = here.output / "model" / "model.safetensors"
    known = left(here.scratch)(weights, FileStat.of(weights.lstat()))  # hashed on the way out: it need not be read to seal it
    assert known is not None
    assert known.md5 == hashlib.md5(weights.read_bytes()).hexdigest()


def test_a_cycles_model_continues_from_the_champion_by_its_recipe(root: Path, context: Any, champion: Path) -> None:
    here = context()
    train(config(), {"archive": archive(root, "c0001"), "model": champion}, here)
    said = training(here)
    assert said["section"] == "cycle"
    assert said["recipe"]["steps"] == 4
    assert said["rows"] == {"human": 39, "synthetic": 81}
    assert (here.output / "model" / "recipe.yaml").read_text() == TEXT
    assert (here.output / "model" / "model.safetensors").read_bytes() != (champion / "model.safetensors").read_bytes()


def test_the_same_inputs_give_the_same_bytes(root: Path, context: Any, champion: Path, shards: list[str]) -> None:
    first, second = context(), context()
    for here in (first, second):
        train(config(), {"archive": archive(root, "c0001"), "model": champion}, here)
    for path in (first.output / "model").iterdir():
        assert path.read_bytes() == (second.output / "model" / path.name).read_bytes()


def test_an_accepted_recipe_goes_before_the_champions(root: Path, context: Any, champion: Path) -> None:
    link(root, "c0001", "cycles/c0000/archive", 81, 0, recipe=OTHER)
    here = context()
    assert train(config(), {"archive": archive(root, "c0001"), "model": champion}, here)["steps"] == 3
    assert (here.output / "model" / "recipe.yaml").read_text() == OTHER


def test_the_plans_floor_of_human_data_holds_against_the_recipe(root: Path, context: Any, champion: Path) -> None:
    here = context()
    train(config(floor=0.5), {"archive": archive(root, "c0001"), "model": champion}, here)
    assert training(here)["recipe"]["human_share"] == 0.5


def test_no_recipe_at_all_is_said(root: Path, context: Any) -> None:
    with pytest.raises(PhaseError, match="neither a model"):
        train(config(), {"archive": archive(root, "c0000")}, context("c0000"))


def test_a_champion_without_its_recipe_is_damaged(root: Path, context: Any, champion: Path) -> None:
    (champion / "recipe.yaml").unlink()
    with pytest.raises(IntegrityError, match=r"recipe\.yaml is missing"):
        train(config(), {"archive": archive(root, "c0001"), "model": champion}, context())


def test_an_impossible_recipe_is_refused_by_line_and_key(root: Path, context: Any) -> None:
    with pytest.raises(PlanError, match=r"recipe\.yaml:2:seed.lr"):
        train(config(TEXT.replace("0.003", "-1")), {"archive": archive(root, "c0000")}, context("c0000"))


def test_rows_that_differ_from_the_record_are_not_trained_on(root: Path, context: Any, shards: list[str]) -> None:
    rows = root / "cycles" / "c0000" / "accepted" / "rows.parquet"
    rows.chmod(0o644)
    rows.write_bytes(Path(shards[1], "rows.parquet").read_bytes())
    with pytest.raises(IntegrityError, match=r"rows\.parquet"):
        train(config(TEXT), {"archive": archive(root, "c0000")}, context("c0000"))


def test_a_model_that_was_placed_can_be_made_again(root: Path, context: Any) -> None:
    """A killed run leaves its scratch behind; the phase then starts with a fresh output."""
    here = context("c0000")
    train(config(TEXT), {"archive": archive(root, "c0000")}, here)
    before = (here.output / "model" / "model.safetensors").read_bytes()
    (here.output / "model").rename(root / "elsewhere")
    for path in (root / "elsewhere").iterdir():
        path.chmod(0o444)
    train(config(TEXT), {"archive": archive(root, "c0000")}, here)
    assert (here.output / "model" / "model.safetensors").read_bytes() == before
    for path in (here.output / "model").iterdir():
        assert path.stat().st_ino != (root / "elsewhere" / path.name).stat().st_ino  # which may be on record


def test_twins_differ_by_the_seed_alone_and_leave_the_model_as_it_is(root: Path, context: Any, champion: Path) -> None:
    """Several training seeds: the first is the model, whatever the others do."""
    inputs = {"archive": archive(root, "c0001"), "model": champion}
    alone, several = context(), context()
    one = train(config(), inputs, alone)
    three = train(config().model_copy(update={"seeds": 3}), inputs, several)
    made = [several.output / "model" / place / "model.safetensors" for place in (".", "seeds/1", "seeds/2")]
    assert made[0].read_bytes() == (alone.output / "model" / "model.safetensors").read_bytes()
    assert len({path.read_bytes() for path in made}) == 3
    assert (three["seeds"], one["seeds"]) == (3, 1)
    assert three["tokens"] > 2 * one["tokens"]
    for number in (1, 2):
        several.family.load(several.output / "model" / "seeds" / str(number))
