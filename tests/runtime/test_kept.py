"""Finished work items are taken up by the next attempt: not done again, the same bytes, and nothing that was damaged."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from loopwright.errors import InfraError
from loopwright.runtime.inprocess import InProcessExecutor
from loopwright.runtime.kept import KeptExecutor
from tests.runtime import work


def kept(folder: Path) -> KeptExecutor:
    return KeptExecutor(InProcessExecutor(), folder / "done")


def test_a_second_attempt_does_what_is_missing_and_gives_the_same(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    items = [{"place": str(tmp_path), "number": number, "fails": number == 3} for number in range(5)]
    with pytest.raises(InfraError, match="ZeroDivisionError"):
        kept(tmp_path).map(work.leave_a_mark, items)
    assert (tmp_path / "marks").read_text() == "012"
    items[3]["fails"] = False
    found = kept(tmp_path).map(work.leave_a_mark, items, lambda *seen: told.append(seen), "shards")
    assert (tmp_path / "marks").read_text() == "01234"
    assert told == [(3, 5, "shards"), (4, 5, "shards"), (5, 5, "shards")]
    assert found == kept(tmp_path / "other").map(work.leave_a_mark, items)


@pytest.mark.parametrize(
    "harm", [lambda data: data[:-2], lambda data: b"", lambda data: data.replace(b"11", b"12")], ids=["cut", "empty", "changed"]
)
def test_a_damaged_result_is_done_again(tmp_path: Path, harm: Callable[[bytes], bytes]) -> None:
    items = [{"place": str(tmp_path), "number": 11}]
    first = kept(tmp_path).map(work.leave_a_mark, items)
    (file,) = (tmp_path / "done").iterdir()
    file.write_bytes(harm(file.read_bytes()))
    assert kept(tmp_path).map(work.leave_a_mark, items) == first
    assert (tmp_path / "marks").read_text() == "1111"


def test_another_function_another_item_and_what_json_cannot_hold(tmp_path: Path) -> None:
    assert kept(tmp_path).map(functools.partial(work.multiply, 2), [3]) == [6]
    assert kept(tmp_path).map(functools.partial(work.multiply, 5), [3]) == [15]
    with pytest.raises(InfraError, match="not plain JSON"):
        kept(tmp_path).map(work.unpicklable, [3])
