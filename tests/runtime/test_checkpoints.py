"""Resume checkpoints: whatever happens to the files, what `latest` returns is whole and the newest that is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loopwright.runtime.checkpoints import COMPLETE, KEPT, latest, register, sweep


def write(storage: Path, step: int, *, text: str = "weights", complete: bool = True) -> Path:
    directory = storage / f"step_{step:08d}"
    (directory / "shards").mkdir(parents=True, exist_ok=True)
    (directory / "shards" / "a").write_text(text)
    (directory / "b").write_text(str(step))
    if complete:
        register(directory)
    return directory


def test_nothing_to_resume_from(tmp_path):
    assert latest(tmp_path) is None
    assert latest(tmp_path / "missing") is None


def test_the_newest_complete_one_counts_by_number_not_by_name(tmp_path):
    newest = write(tmp_path, 10)
    older = tmp_path / "step_9"  # a name that sorts behind, and a step that came before
    older.mkdir()
    register(older)
    write(tmp_path, 30, complete=False)
    assert latest(tmp_path) == newest


def test_only_the_last_ones_stay(tmp_path):
    for step in (1, 2, 3, 4):
        write(tmp_path, step)
    assert KEPT == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_00000003", "step_00000004"]


def test_a_rewritten_one_is_complete_again(tmp_path):
    write(tmp_path, 1)
    again = write(tmp_path, 1, text="other")
    assert latest(tmp_path) == again


def test_sweep_removes_what_is_half_written_and_nothing_else(tmp_path):
    whole, half = write(tmp_path, 1), write(tmp_path, 2, complete=False)
    (tmp_path / "notes").mkdir()
    sweep(tmp_path)
    assert whole.is_dir()
    assert not half.exists()
    assert (tmp_path / "notes").is_dir()


def test_other_names_are_refused(tmp_path):
    (tmp_path / "last").mkdir()
    with pytest.raises(ValueError, match="step_<number>"):
        register(tmp_path / "last")


DAMAGE = {
    "cut": lambda directory: (directory / "b").write_text(""),
    "lost": lambda directory: (directory / "b").unlink(),
    "added": lambda directory: (directory / "shards" / "c").write_text("?"),
    "no list": lambda directory: (directory / COMPLETE).unlink(),
    "list cut": lambda directory: (directory / COMPLETE).write_text("{"),
    "list of another kind": lambda directory: (directory / COMPLETE).write_text("[]"),
    "same length": lambda directory: (directory / "shards" / "a").write_text("Weights"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_one_is_passed_over(tmp_path, damage):
    older, newer = write(tmp_path, 1), write(tmp_path, 2)
    assert latest(tmp_path) == newer
    damage(newer)
    assert latest(tmp_path) == older


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(min_size=1, max_size=64), data=st.data())
def test_any_flipped_bit_is_noticed(tmp_path_factory, content, data):
    directory = tmp_path_factory.mktemp("flip") / "step_1"
    directory.mkdir()
    (directory / "weights").write_bytes(content)
    register(directory)
    assert latest(directory.parent) == directory
    place = data.draw(st.integers(0, len(content) * 8 - 1))
    changed = bytearray(content)
    changed[place // 8] ^= 1 << place % 8
    (directory / "weights").write_bytes(changed)
    assert latest(directory.parent) is None
