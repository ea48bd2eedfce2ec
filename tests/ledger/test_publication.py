"""Publishing again and again: the same files as at once, at a cost that does not hang on what was published before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from loopwright.ledger.merkle import leaf_hash
from loopwright.ledger.publication import Published, publish
from loopwright.ledger.reading import reaches
from loopwright.ledger.tiles import published_size

ENTRIES = [b"entry %d" % number for number in range(6_000)]
HASHES = [leaf_hash(entry) for entry in ENTRIES]


class Log:
    """A log, and how much of it was read."""

    def __init__(self) -> None:
        self.read = 0

    def envelopes(self, start: int, stop: int) -> Sequence[bytes]:
        self.read += stop - start
        return ENTRIES[start:stop]

    def hashes(self, start: int, stop: int) -> Sequence[bytes]:
        self.read += stop - start
        return HASHES[start:stop]


def notes(*sizes: int) -> dict[int, str]:
    return {size: f"note of {size}" for size in sizes}


def again(folder: Path, size: int, latest: int, before: Published | None, log: Log | None = None) -> Published:
    """As a ledger does it: after ``latest`` entries the last checkpoint was signed, one every ten entries before."""
    since = before.base() if before else 0
    begin = before.latest if before and since else 10
    return publish(folder, size, notes(*range(begin, latest + 1, 10)), log or Log(), since)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_step_by_step_leaves_what_at_once_does(tmp_path: Path) -> None:
    before: Published | None = None
    for size in (1, 9, 10, 19, 250, 255, 256, 257, 300, 511, 512, 513, 1_100):
        before = again(tmp_path / "steps", size, size // 10 * 10, before)
        assert before.base() == size // 10 * 10
        assert published_size(tmp_path / "steps") == size
        assert [reaches(tmp_path / "steps", at) for at in (0, size - 1, size, size + 300)] == [True, True, False, False]
    again(tmp_path / "once", 1_100, 1_100, None)
    assert files(tmp_path / "steps") == files(tmp_path / "once")
    assert not reaches(tmp_path / "nowhere", 0)


@pytest.mark.parametrize("lost", ["tile/0/000", "tile/entries/001", "checkpoints/40"])
def test_what_somebody_took_away_is_put_back(lost: str, tmp_path: Path) -> None:
    before = again(tmp_path, 700, 690, None)
    whole = files(tmp_path)
    (tmp_path / lost).unlink()
    assert before.base() == 0
    again(tmp_path, 700, 690, before)
    assert files(tmp_path) == whole


def test_what_another_process_published_meanwhile_is_swept(tmp_path: Path) -> None:
    before = again(tmp_path, 700, 690, None)
    again(tmp_path, 730, 710, again(tmp_path, 720, 710, None))
    again(tmp_path, 780, 780, before)
    again(tmp_path.with_name("once"), 780, 780, None)
    assert files(tmp_path) == files(tmp_path.with_name("once"))


def test_a_publication_looks_at_what_came_since(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files asked for and entries read by one more publication of ten entries, after a thousand and after five thousand."""
    asked, is_file, cost = [], Path.is_file, list[tuple[int, int]]()
    monkeypatch.setattr(Path, "is_file", lambda path: asked.append(path) or is_file(path))
    for size in (1_034, 4_874):  # as far beyond a full tile, both of them
        before = again(tmp_path / str(size), size, size // 10 * 10, None)
        asked.clear()
        log = Log()
        again(tmp_path / str(size), size + 10, size // 10 * 10 + 10, before, log)
        cost.append((len(asked), log.read))
    assert cost[0] == cost[1], cost
    assert cost[0][0] < 20
