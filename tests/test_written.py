"""Digests that a writer hands on hold for the very file that it wrote, and for no other."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from loopwright.models.tensors import write_tensors
from loopwright.runtime.checkpoints import COMPLETE, latest, register
from loopwright.store.hashing import measure, seal
from loopwright.written import FileStat, HashedFile, from_json, leave, left, noting, to_json


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files that sealing read."""
    from loopwright.store import hashing

    seen: list[Path] = []
    really = hashing._read

    def read(path: Path, sync: bool) -> object:
        seen.append(path)
        return really(path, sync)

    monkeypatch.setattr(hashing, "_read", read)
    return seen


def written(folder: Path, scratch: Path) -> None:
    """Two files, one of which was hashed on the way out, as the train phase leaves them."""
    folder.mkdir()
    with noting() as notes, HashedFile(folder / "weights") as file:
        file.write(b"a" * 3_000_000)
        file.write(memoryview(b"end"))
    (folder / "words").write_text("by somebody else")
    leave(scratch, from_json(to_json(notes)))


def test_what_was_hashed_on_the_way_out_is_not_read_to_seal_it(tmp_path: Path, reads: list[Path]) -> None:
    written(tmp_path / "made", tmp_path)
    (tmp_path / "out").mkdir()
    os.link(tmp_path / "made" / "weights", tmp_path / "out" / "weights")  # the train phase places it so
    (tmp_path / "out" / "words").write_text("by somebody else")
    sealed = seal(tmp_path / "out", "model", known=left(tmp_path))
    assert [path.name for path in reads] == ["words"]
    plain = measure(tmp_path / "out", "model")
    assert (sealed.manifest, sealed.md5s) == (plain.manifest, plain.md5s)
    assert sealed.md5s["weights"] == hashlib.md5((tmp_path / "made" / "weights").read_bytes()).hexdigest()


def in_place(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.write(b"b")


def replaced(file: Path) -> None:
    file.rename(file.with_name("old"))
    file.write_bytes(b"b" * 3_000_003)


def copied(file: Path) -> None:
    shutil.copy2(file, file.with_name("copy"))
    file.unlink()


@pytest.mark.parametrize("change", [in_place, replaced, copied])
def test_a_file_that_changed_since_is_hashed_as_what_it_is(tmp_path: Path, change: Callable[[Path], None]) -> None:
    written(tmp_path / "made", tmp_path)
    before = measure(tmp_path / "made", "model").manifest
    change(tmp_path / "made" / "weights")
    sealed = seal(tmp_path / "made", "model", known=left(tmp_path))
    assert sealed.manifest == measure(tmp_path / "made", "model").manifest != before


def test_a_change_in_the_same_tick_of_the_clock_is_seen(tmp_path: Path) -> None:
    for number in range(50):
        file = tmp_path / str(number)
        with noting() as notes, HashedFile(file) as opened:
            opened.write(b"a")
        in_place(file)
        assert FileStat.of(file.lstat()) not in notes


def test_a_file_that_was_not_written_to_its_end_is_not_noted(tmp_path: Path) -> None:
    with noting() as notes, pytest.raises(BufferError), HashedFile(tmp_path / "half") as file:
        raise BufferError
    assert file.stat is None
    assert notes == {}


def test_a_file_that_replaces_a_linked_one_leaves_that_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "recorded").write_bytes(b"on record")
    os.link(tmp_path / "recorded", tmp_path / "made")
    with HashedFile(tmp_path / "made") as file:
        file.write(b"new")
    assert (tmp_path / "recorded").read_bytes() == b"on record"


def test_tensors_are_written_as_safetensors_writes_them(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tensors = {
        'odd "é"': torch.randn(3, 5),
        "turned": torch.randn(4, 6).t(),
        "half": torch.randn(7).bfloat16(),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "empty": torch.zeros(0, 4),
        "flags": torch.tensor([True, False]),
        "numbers": torch.arange(5),
        "bytes": torch.arange(3, dtype=torch.uint8),
        "eighth": torch.randn(5).to(torch.float8_e4m3fn),
    }
    for metadata in ({"format": "pt"}, {}):
        save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()}, tmp_path / "theirs", metadata=metadata or None
        )
        write_tensors(tmp_path / "ours", tensors, metadata)
        assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_a_checkpoint_is_registered_by_the_digests_that_its_writer_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "step_1"
    directory.mkdir()
    with noting() as notes, HashedFile(directory / "a", md5=False) as file:
        file.write(b"weights")
    leave(directory, notes)
    with monkeypatch.context() as patched:
        patched.setattr(hashlib, "file_digest", None)  # whoever reads, fails
        register(directory)
    assert sorted(path.name for path in directory.iterdir()) == [COMPLETE, "a"]
    assert latest(tmp_path) == directory
    (directory / "a").write_bytes(b"Weights")
    assert latest(tmp_path) is None
