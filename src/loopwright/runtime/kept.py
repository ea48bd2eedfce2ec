"""An executor that keeps the result of each finished work item, so that a phase that was killed takes up what it had.

The results lie in the phase key's private storage, a file an item, and go with it when the phase is recorded. A file is named by
the digest of function and item, and begins with the digest of its own content: what a killed writer or a bad disk left does not
match, and the item is done again. What is taken up has the same bytes as what was done, since results pass through JSON either way.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from loopwright.errors import InfraError
from loopwright.runtime import Executor, TrainFunction
from loopwright.runtime.jobs import pack_function
from loopwright.types import Progress

__all__ = ["KeptExecutor"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class KeptExecutor:
    """See `loopwright.runtime.Executor`; all but `map` is another's."""

    def __init__(self, executor: Executor, folder: Path) -> None:
        """``folder`` belongs to one phase key; it is made with the first result."""
        self._executor = executor
        self._folder = folder

    @property
    def name(self) -> str:
        return self._executor.name

    def warm(self) -> None:
        self._executor.warm()

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        progress: Progress | None = None,
        unit: str = "",
        each: Callable[[int, Result], None] | None = None,
    ) -> list[Result]:
        """Items and results are plain JSON here: a tuple comes back as a list."""
        files = [self._file(function, item) for item in items]
        texts = {index: text for index, file in enumerate(files) if (text := _read(file)) is not None}
        missing = [index for index in range(len(items)) if index not in texts]
        taken_up = len(texts)
        if progress and taken_up:
            progress(taken_up, len(items), unit)

        def keep(position: int, result: Result) -> None:
            index = missing[position]
            texts[index] = _text(result)
            self._write(files[index], texts[index])
            if each:
                each(index, json.loads(texts[index]))

        def tell(done: int, _: int, unit: str) -> None:
            if progress:
                progress(taken_up + done, len(items), unit)

        if missing:
            self._executor.map(function, [items[index] for index in missing], tell, unit, keep)
        return [json.loads(texts[index]) for index in range(len(items))]

    def train(self, function: TrainFunction, job: Mapping[str, Any], progress: Progress | None = None) -> Mapping[str, Any]:
        return self._executor.train(function, job, progress)

    def describe(self) -> Mapping[str, Any]:
        return self._executor.describe()

    def close(self) -> None:
        self._executor.close()

    def _file(self, function: Callable[[Item], Result], item: Item) -> Path:
        asked = pack_function(function) + json.dumps(item, sort_keys=True).encode()
        return self._folder / f"{_digest(asked)}.json"

    def _write(self, file: Path, text: str) -> None:
        """One write, no fsync: what was lost is done again. A full disk is told by whoever writes what must not be lost."""
        data = text.encode()
        with suppress(OSError):
            self._folder.mkdir(exist_ok=True)
            file.write_bytes(_digest(data).encode() + b"\n" + data)


def _read(file: Path) -> str | None:
    """What was kept; None where there is nothing, or something else than was written."""
    try:
        digest, _, data = file.read_bytes().partition(b"\n")
    except OSError:
        return None
    return data.decode() if digest.decode(errors="replace") == _digest(data) else None


def _text(result: Any) -> str:
    try:
        return json.dumps(result)
    except (TypeError, ValueError) as error:
        raise InfraError(
            f"a work item's result is not plain JSON: {error}", "numbers, text, lists and maps can be kept"
        ) from error


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
