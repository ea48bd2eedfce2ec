"""A folder domain to start from: small, complete, and with the one thing in it that matters, what is expected kept outside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from loopwright.domains.folder import TASKS, VERIFIER
from loopwright.errors import UsageError

__all__ = ["scaffold"]

_NUMBERS = {2: "two", 3: "three"}
_SUMS = range(6, 66)
_VERIFIER = '''"""Judges one answer. Runs in the sandbox: no file, no network, some of the standard library.

What `check` returns is compared, outside, with the `expected` of the task's line, to the letter and the type. Return what
you found out and never a verdict: `expected` is not given to this process, so that nothing in here can say it.
"""


def check(task: dict, answer: str) -> dict:
    """What the answer is: how many whole numbers, whether all are above 0, and their sum."""
    words = answer.split()
    if not all(word.isascii() and word.isdigit() and len(word) < 7 for word in words):
        return {"numbers": 0}
    numbers = [int(word) for word in words]
    return {"numbers": len(numbers), "above_zero": all(number > 0 for number in numbers), "sum": sum(numbers)}
'''


def scaffold(folder: Path) -> None:
    """Write ``tasks.jsonl`` and ``verifier.py`` into a new folder; UsageError where it holds something."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} holds something already", "name a folder that does not exist")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TASKS).write_text("".join(f"{json.dumps(line)}\n" for line in _lines()), encoding="utf-8")
    (folder / VERIFIER).write_text(_VERIFIER, encoding="utf-8")


def _lines() -> Iterator[dict[str, object]]:
    for count, word in _NUMBERS.items():
        for total in _SUMS:
            rest = [total - count + 1, *[1] * (count - 1)]
            right, wrong = (" ".join(map(str, numbers)) for numbers in (rest, [rest[0] + 1, *rest[1:]]))
            yield {
                "prompt": f"{word} numbers with sum {total}",
                "expected": {"numbers": count, "above_zero": True, "sum": total},
                "answer": right,
                "wrong": [wrong, str(total)],
                "level": count - 1,
                "slices": {"numbers": word},
            }
