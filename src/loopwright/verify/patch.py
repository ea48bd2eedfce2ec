"""A small, strict applier of unified diffs. What it does not understand completely, it refuses.

A recipe proposal is text from outside, so there is no fuzz, no offset, no rename, no new or deleted file, no mode and no
binary part: context must match exactly where the hunk says it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

__all__ = ["PatchRefused", "apply_diff"]

_LARGEST = 64 * 1024
_HUNK = re.compile(r"@@ -(\d{1,6})(?:,(\d{1,6}))? \+(\d{1,6})(?:,(\d{1,6}))? @@(?: .*)?")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
"""Lines end at a line feed alone, as in the diff."""
_NO_NEWLINE = "\\ No newline at end of file"
_NAMES = re.compile(r"(?P<mark>---|\+\+\+) (?:[ab]/)?(?P<path>[^\t]+)(?:\t.*)?")


class PatchRefused(ValueError):
    """The diff is not one that may be applied; the message says why."""


def apply_diff(diff: str, files: Mapping[str, str]) -> dict[str, str]:
    """New texts of the files that the diff changes.

    Args:
        diff: Unified diff, as ``git diff`` or ``diff -u`` write it.
        files: Texts by path: all that it may touch.

    Raises:
        PatchRefused: it touches another path or does more than change lines, or a hunk does not match exactly.
    """
    if len(diff) > _LARGEST or "\0" in diff or "\r" in diff:
        raise PatchRefused(f"a recipe diff is at most {_LARGEST} characters of text with plain line ends")
    lines = _Lines(diff)
    changed: dict[str, str] = {}
    while lines.left:
        path = _header(lines)
        if path not in files:
            raise PatchRefused(f"{path!r} may not be changed (allowed: {', '.join(sorted(files)) or 'nothing'})")
        if path in changed:
            raise PatchRefused(f"{path} is changed twice")
        changed[path] = _hunks(lines, files[path], path)
    if not changed:
        raise PatchRefused("the diff changes nothing")
    return changed


class _Lines:
    """The diff's lines with a place to read from."""

    def __init__(self, text: str) -> None:
        self._lines = text.removesuffix("\n").split("\n") if text else []
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._lines) - self._at

    def peek(self) -> str:
        return self._lines[self._at] if self.left else ""

    def take(self) -> str:
        if not self.left:
            raise PatchRefused("the diff ends in the middle of a hunk or header")
        self._at += 1
        return self._lines[self._at - 1]


def _header(lines: _Lines) -> str:
    """The path of the next file section; git's two extra lines may come before it, and nothing else."""
    if lines.peek().startswith("diff --git "):
        lines.take()
        if re.fullmatch(r"index [0-9a-f]{4,64}\.\.[0-9a-f]{4,64}( 100644)?", lines.peek()):
            lines.take()
    paths = [_NAMES.fullmatch(lines.take()) for _ in range(2)]
    if paths[0] is None or paths[1] is None or (paths[0]["mark"], paths[1]["mark"]) != ("---", "+++"):
        raise PatchRefused("only changes of lines are allowed: no new, deleted, renamed, copied or binary file, no mode")
    if paths[0]["path"] != paths[1]["path"]:
        raise PatchRefused(f"{paths[0]['path']!r} may not become {paths[1]['path']!r}: no new, deleted or renamed file")
    return paths[0]["path"]


def _hunks(lines: _Lines, text: str, path: str) -> str:
    """Apply all hunks of one file."""
    old = _LINE.findall(text)
    new: list[str] = []
    used, count = 0, 0
    while lines.left and (match := _HUNK.fullmatch(lines.peek())):
        lines.take()
        count += 1
        start, before, onto, after = (int(number) if number is not None else 1 for number in match.groups())
        first = start - 1 if before else start
        removed, added = _body(lines, before, after)
        place = f"{path}: hunk {count}"
        if first < used or old[first : first + before] != removed:
            raise PatchRefused(f"{place} does not match the text at line {start}: it was made for another version")
        new += old[used:first]
        if len(new) != (onto - 1 if after else onto):
            raise PatchRefused(f"{place} says line {onto} of the result, which is line {len(new) + 1}")
        new += added
        used = first + before
    if not count:
        raise PatchRefused(f"{path}: no hunk follows the header")
    return _joined([*new, *old[used:]], path)


def _body(lines: _Lines, before: int, after: int) -> tuple[list[str], list[str]]:
    """Old and new lines of a hunk, exactly as many as it announces."""
    removed: list[str] = []
    added: list[str] = []
    while len(removed) < before or len(added) < after:
        line = lines.take()
        if line[:1] not in (" ", "-", "+"):
            raise PatchRefused(f"a hunk may hold lines that begin with ' ', '-' or '+', not {line[:40]!r}")
        end = "" if lines.peek() == _NO_NEWLINE and lines.take() else "\n"
        for side in _sides(line, removed, added):
            side.append(line[1:] + end)
    if len(removed) != before or len(added) != after:
        raise PatchRefused("a hunk holds another number of lines than it announces")
    return removed, added


def _sides(line: str, removed: list[str], added: list[str]) -> Iterator[list[str]]:
    if line[0] in " -":
        yield removed
    if line[0] in " +":
        yield added


def _joined(lines: Sequence[str], path: str) -> str:
    if any(not line.endswith("\n") for line in lines[:-1]):
        raise PatchRefused(f"{path}: a line without an end is not the last one")
    return "".join(lines)
