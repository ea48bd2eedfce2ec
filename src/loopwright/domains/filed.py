"""Tasks that stand in a file of JSON lines: read with the line named where one is wrong, split by a seed, given out as a domain.

A line is of one part for good: which one depends on the seed and the line's own signature, so that a file may grow without
a task of the gate or sealed suite ever moving to where models learn. No two lines may ask the same.
"""

from __future__ import annotations

import json
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal

from loopwright.domains.tasks import level_draws, make_task, whole
from loopwright.errors import PlanError
from loopwright.plugins import Alphabet
from loopwright.types import Check, Task, digest_value, seed_of

__all__ = ["PARTS", "Filed", "Part", "Pool", "level_of", "named_path", "part_of", "read_filed"]

Part = Literal["gate", "sealed", "human", "tasks"]
PARTS: tuple[Part, ...] = ("gate", "sealed", "human", "tasks")
"""The two suites; tasks whose answers the first model learns from; tasks that models are asked for new answers to."""

_TOLD = 5
"""Wrong lines that a message names; it says how many there are in any case."""
_GIVEN = 7 / 8
"""Of the human lines one draw has so many: others are left for a frozen sample that nothing was trained on."""
_LARGEST_FILE = 2**30
_LONGEST_LINE = 2**20
_HIGHEST = 1000
_SPAN = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """One line."""

    where: str
    """``tasks.jsonl:7``."""
    prompt: str
    check: Check
    """What an answer is judged by, whatever it is judged for."""
    signature: str
    level: int
    slices: Mapping[str, str]
    answer: str | None = None
    """A right one, by a person."""
    part: Part | None = None
    """Where the line itself says so."""
    group: str | None = None
    """Lines of one group are of one part."""


def read_filed(path: Path, made: Callable[[dict[str, Any], str], Filed]) -> list[Filed]:
    """All lines of a file, each a JSON object that ``made`` turns into a task (ValueError where it cannot).

    Raises:
        PlanError: the file cannot be read or is empty, or lines are wrong or ask what an earlier one asks; it names them.
    """
    lines, problems = list[Filed](), list[str]()
    seen: dict[str, str] = {}
    for number, text in enumerate(_text(path).split("\n"), 1):
        where = f"{path.name}:{number}"
        if not text.strip():
            continue
        try:
            line = made(_object(text), where)
            for said in (f"prompt {line.prompt}", f"signature {line.signature}"):
                if (earlier := seen.setdefault(said, where)) != where:
                    raise ValueError(f"it asks what {earlier} asks")
        except ValueError as error:
            problems.append(f"{where}: {error}")
        else:
            lines.append(line)
    if problems:
        more = f" (and {len(problems) - _TOLD} more lines)" if len(problems) > _TOLD else ""
        raise PlanError("; ".join(problems[:_TOLD]) + more, f"mend or remove these lines of {path}")
    if not lines:
        raise PlanError(f"{path} holds no task", "one JSON object a line")
    return lines


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise PlanError(
                f"{path} is larger than {_LARGEST_FILE >> 30} GiB", "split it, or write a domain that makes its tasks"
            )
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise PlanError(f"{path} is no UTF-8 text: {error}", "save it as UTF-8") from error
    except OSError as error:
        raise PlanError(f"{path} cannot be read: {error.strerror}", "the domain's setting `path` names it") from error


def _object(text: str) -> dict[str, Any]:
    if len(text) > _LONGEST_LINE:
        raise ValueError(f"longer than {_LONGEST_LINE} characters")
    try:
        found = json.loads(text, parse_constant=_refuse, object_pairs_hook=_single)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise ValueError("no JSON: nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError(f"a JSON object is needed, not {type(found).__name__}")  # noqa: TRY004  # as every wrong line
    return found


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _single(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        doubled = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
        raise ValueError(f"the key {doubled[0]!r} stands there twice")
    return found


def named_path(said: object) -> Path:
    """The setting ``path`` of a domain; TypeError where it is no text."""
    if not isinstance(said, str) or not said:
        raise TypeError(f"path must name a file or folder of the workspace, not {said!r}")
    return Path(said)


def level_of(row: Mapping[str, Any], otherwise: int) -> int:
    """A row's ``level``; ValueError where it is no whole number from 1 to 1000."""
    level = row.get("level", otherwise)
    if type(level) is not int or not 1 <= level <= _HIGHEST:
        raise ValueError(f"level: a whole number from 1 to {_HIGHEST} is needed, not {level!r}")
    return level


def part_of(row: Mapping[str, Any]) -> Part | None:
    """A row's ``split``, where it says one; ValueError where it is none."""
    said = row.get("split")
    if said is not None and said not in PARTS:
        raise ValueError(f"split: {said!r} is none of {', '.join(PARTS)}")
    return said


class Pool:
    """The tasks of a file by part, and what every domain made of one says of them."""

    def __init__(self, name: str, lines: Sequence[Filed], seed: int, shares: Mapping[Part, float]) -> None:
        """``shares`` has gate, sealed and human; TypeError or ValueError where seed or shares make no sense."""
        whole("split_seed", seed, 0, _SPAN)
        _fit(shares)
        self._name = name
        self._parts: dict[Part, list[Filed]] = {part: [] for part in PARTS}
        groups: dict[str, tuple[Part, str]] = {}
        for line in lines:
            part = line.part or _part(line, seed, shares)
            if part == "human" and line.answer is None:
                raise ValueError(f"{line.where}: its split is human, and it gives no right answer")
            self._parts[part].append(line)
            there, where = groups.setdefault(line.group or line.signature, (part, line.where))
            if _suite(there) != _suite(part):
                raise ValueError(f"{line.where}: its group is also in {where}, which is in {there}, and this is in {part}")
        if missing := [part for part in ("gate", "sealed") if not self._parts[part]]:
            raise ValueError(f"of {len(lines)} tasks none is in the {' and '.join(missing)} suite: give more, or say `split`")
        self._accepting = {line.prompt: line for part in ("human", "tasks") for line in self._parts[part]}
        self._letters = {letter for line in lines for letter in line.prompt + (line.answer or "")}

    def counts(self) -> dict[Part, int]:
        """Tasks by part."""
        return {part: len(lines) for part, lines in self._parts.items()}

    def alphabet(self) -> Alphabet:
        """Printable ASCII, newline, and what else the file has, a character each; prompts are cut like answers."""
        plain = {*string.ascii_letters, *string.digits, *string.punctuation, " ", "\n"}
        return Alphabet(words=(), lexemes=tuple(sorted(plain | self._letters)))

    def suites(self) -> Mapping[str, Sequence[Task]]:
        """The ``gate`` and ``sealed`` suites."""
        return {suite: [self._task(line, suite) for line in self._parts[suite]] for suite in ("gate", "sealed")}

    def human(self, seed: int, refused: frozenset[str]) -> list[tuple[Task, str]]:
        """Tasks with the answers that the file gives; about one in eight is left out, another one for each seed."""
        lines = [line for line in self._parts["human"] if line.signature not in refused]
        drawn = [line for line in lines if seed_of(self._name, "human", seed, line.signature) < _GIVEN * _SPAN]
        return [(self._task(line), line.answer) for line in drawn or lines if line.answer is not None]

    def tasks(self, seed: int, count: int, weights: Mapping[int, float], refused: frozenset[str]) -> list[Task]:
        """Tasks in random order; where a level has too few for its share, others take their place.

        Raises:
            ValueError: a weight makes no sense, or there are not so many tasks.
        """
        rng = Random(seed_of(self._name, "tasks", seed))
        lines = sorted((line for line in self._parts["tasks"] if line.signature not in refused), key=lambda _: rng.random())
        if count > len(lines):
            raise ValueError(f"it has {len(lines)} tasks to ask, not {count}")
        waiting: dict[int, list[Filed]] = {}
        for line in lines:
            waiting.setdefault(line.level, []).append(line)
        known = {level: weight for level, weight in weights.items() if level in waiting}
        chosen = []
        for level in level_draws(rng, count, known or dict.fromkeys(waiting, 1.0)):
            full = level if waiting[level] else max(waiting, key=lambda other: (len(waiting[other]), -other))
            chosen.append(self._task(waiting[full].pop()))
        return chosen

    def task(self, prompt: str) -> Task:
        """The accepting task of that prompt; ValueError where the file has none."""
        line = self._accepting.get(prompt)
        if line is None:
            raise ValueError(f"no accepting task of the file asks {prompt[:100]!r}")
        return self._task(line)

    def answered(self) -> list[tuple[Task, str]]:
        """All accepting tasks with a right answer."""
        return [(self._task(line), line.answer) for line in self._accepting.values() if line.answer is not None]

    def _task(self, line: Filed, purpose: str = "hidden") -> Task:
        return make_task(
            self._name,
            prompt=line.prompt,
            level=line.level,
            signature=line.signature,
            checks={purpose: line.check},
            slices=line.slices,
        )


def _fit(shares: Mapping[Part, float]) -> None:
    for name, value in shares.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{name}_share must be a number, not {value!r}")
        if not 0 <= value <= 1:
            raise ValueError(f"{name}_share must be from 0 to 1, not {value}")
    if sum(shares.values()) > 1:
        raise ValueError(f"{', '.join(f'{name}_share' for name in shares)} are {sum(shares.values()):g} together, over 1")


def _suite(part: Part) -> str:
    """What must not share a group: the suites, each with everything else."""
    return part if part in {"gate", "sealed"} else "accepting"


def _part(line: Filed, seed: int, shares: Mapping[Part, float]) -> Part:
    """By the place of the line's own digest between 0 and 1; without an answer a task is no human row."""
    place = seed_of("split", seed, digest_value([line.group or line.signature])) / _SPAN
    if place < shares["gate"]:
        return "gate"
    if place < shares["gate"] + shares["sealed"]:
        return "sealed"
    if place < shares["gate"] + shares["sealed"] + shares["human"] and line.answer is not None:
        return "human"
    return "tasks"
