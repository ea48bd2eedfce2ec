"""One pass: the digests are right, no byte is read twice, and what cannot be brought back is refused."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwright.errors import IntegrityError, WorkspaceError
from loopwright.store import hashing
from loopwright.store.hashing import measure, seal
from loopwright.store.statcache import StatCache
from loopwright.types import Manifest

NAMES = st.lists(st.from_regex(r"[a-z0-9_]{1,8}", fullmatch=True), min_size=1, max_size=3).map(
    lambda parts: "/".join([*parts, "file."])  # no folder is called so
)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def bytes_read() -> int:
    """Bytes that this process has asked the system for, from disk or from memory."""
    return int(Path("/proc/self/io").read_text(encoding="ascii").split("rchar: ")[1].split()[0])


@settings(max_examples=40, deadline=None)
@given(files=st.dictionaries(NAMES, st.binary(max_size=3000), min_size=1, max_size=6), threads=st.integers(1, 4))
def test_digests_are_those_of_hashlib_for_any_tree_and_any_number_of_threads(files: dict[str, bytes], threads: int) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashing, "_SMALL", 0)
        sealed = measure(write(Path(folder), files), "model", threads=threads)
    assert [file.path for file in sealed.manifest.files] == sorted(files)
    assert {file.path: (file.size, file.sha256) for file in sealed.manifest.files} == {
        name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in files.items()
    }
    assert sealed.md5s == {name: hashlib.md5(data).hexdigest() for name, data in files.items()}


def test_files_larger_than_the_buffer_are_hashed_whole_and_read_once(tmp_path: Path) -> None:
    data = os.urandom(3 * hashing.BUFFER + 17)
    folder = write(tmp_path / "model", {"a": data, "b": data[::-1], "c": b""})
    before = bytes_read()
    sealed = seal(folder, "model")
    assert bytes_read() - before < 2.1 * len(data)
    assert [file.sha256 for file in sealed.manifest.files] == [
        hashlib.sha256(part).hexdigest() for part in (data, data[::-1], b"")
    ]


def test_a_single_file_goes_by_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "decision.json").write_bytes(b"{}")
    assert list(seal(tmp_path / "decision.json", "decision").md5s) == ["decision.json"]


def test_sealing_makes_files_read_only_and_leaves_directories_writable(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", {"a": b"1", "deep/er/b": b"2"})
    seal(folder, "model")
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o444}
    assert all(path.stat().st_mode & 0o200 for path in (folder, folder / "deep"))


def test_sealing_forces_every_file_and_every_directory_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "model", {"a": b"1", "deep/er/b": b"2"})
    synced: set[int] = set()
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.add(os.fstat(handle).st_ino), sync(handle)))
    seal(folder, "model", known=lambda path, found: None)
    assert {path.stat().st_ino for path in (tmp_path, folder, *folder.rglob("*"))} <= synced


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "model", {"a": b"first"})
    monkeypatch.setattr(os, "posix_fadvise", lambda *_: (folder / "a").write_bytes(b"second, longer"))
    with pytest.raises(IntegrityError, match="changed while"):
        measure(folder, "model")


@pytest.mark.parametrize("kind", ["link", "folder link", "fifo", ".dvcignore", ".git/x", "nothing", "missing"])
def test_what_could_not_be_brought_back_is_refused(tmp_path: Path, kind: str) -> None:
    folder = write(tmp_path / "model", {"a": b"1"})
    if kind == "link":
        (folder / "b").symlink_to("a")
    elif kind == "folder link":
        (folder / "b").symlink_to(tmp_path)
    elif kind == "fifo":
        os.mkfifo(folder / "b")
    elif kind == "nothing":
        (folder / "a").unlink()
        (folder / "empty").mkdir()
    elif kind == "missing":
        folder = tmp_path / "other"
    else:
        write(folder, {kind: b"x"})
    with pytest.raises(WorkspaceError):
        measure(folder, "model")


def test_a_linked_artifact_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "model", {"a": b"1"})
    (tmp_path / "link").symlink_to(tmp_path / "model")
    with pytest.raises(WorkspaceError):
        measure(tmp_path / "link", "model")


def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", {"a": os.urandom(100_000), "deep/b": b"2"})
    first = measure(folder, "model")
    StatCache(tmp_path).remember(folder, first)
    cache = StatCache(tmp_path)
    assert cache(folder / "a", first.stats["a"]) is not None  # loads the file
    before = bytes_read()
    assert measure(folder, "model", known=cache) == first
    assert bytes_read() - before < 50_000
    (folder / "a").write_bytes(b"other")
    assert measure(folder, "model", known=cache) != first


def test_a_damaged_cache_costs_a_reading_and_nothing_else(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", {"a": b"1"})
    (tmp_path / ".loopwright").mkdir()
    (tmp_path / ".loopwright" / "stat.db").write_bytes(b"no database at all" * 100)
    sealed = measure(folder, "model", known=StatCache(tmp_path))
    StatCache(tmp_path).remember(folder, sealed)
    StatCache(tmp_path).remember(folder, sealed)
    with sqlite3.connect(tmp_path / ".loopwright" / "stat.db") as database:
        assert database.execute("SELECT path FROM hashed").fetchall() == [("model/a",)]
    database.close()


def test_the_digest_is_of_content_alone(tmp_path: Path) -> None:
    one, two = (write(tmp_path / name, {"a": b"1"}) for name in ("one", "two"))
    os.utime(two / "a", (1, 1))
    assert measure(one, "model").manifest.digest == measure(two, "model").manifest.digest
    assert measure(one, "model").manifest.digest != measure(one, "archive").manifest.digest
    assert Manifest(kind="model", files=()).digest.startswith("sha256:")
