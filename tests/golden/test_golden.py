"""The golden workspace: what version 1 wrote, every later version verifies, and writes alike."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from loopwright.ledger import Ledger
from loopwright.ledger.fold import fold
from loopwright.ledger.verify import Report, verify
from tests.golden.make_v1 import FOLDER, make

FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file())


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_it_verifies() -> None:
    assert verify(FOLDER) == Report(
        workspace="golden-v1", findings=(), leaves=9, covered=8, checkpoints=3, artifacts=4, files=1, objects=0, absent=3
    )


def test_it_reads(tmp_path: Path) -> None:
    state = fold(Ledger.open(FOLDER, tmp_path / "nokeys").statements())
    assert (state.workspace, state.champion, state.last, state.open, state.leaves) == (
        "golden-v1",
        "c0000",
        "c0000",
        "c0001",
        9,
    )
    seed, second = state.cycles.values()
    assert list(seed.phases) == ["seed", "train", "decide"]
    assert (seed.action, seed.reasons, seed.seed) == ("promote", ("first model",), 4503599627370495)
    assert seed.phases["train"].summary == {"steps": 20, "loss_last": 1e-07}
    assert [failure["error"] for failure in seed.failures] == ["InfraError"]
    assert second.recipe is not None
    assert state.approvals[second.recipe["digest"]] == second.recipe["approval"] == 7


def test_it_is_what_is_written_today(tmp_path: Path) -> None:
    make(tmp_path / "v1")
    assert contents(tmp_path / "v1") == contents(FOLDER)


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_byte_is_named(tmp_path: Path, name: str) -> None:
    shutil.copytree(FOLDER, tmp_path / "v1")
    file = tmp_path / "v1" / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    places = [finding.where for finding in verify(tmp_path / "v1").findings]
    assert name in places or (
        name.startswith("ledger/tile/entries") and any(place.startswith("ledger entry") for place in places)
    )
