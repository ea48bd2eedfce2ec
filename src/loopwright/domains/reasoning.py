"""Domain `reasoning-gym`: short puzzles of the package of that name, answered in text and judged as text.

Nothing is executed: an answer passes where the data set's own scorer gives it 1.0. Some scorers of the package evaluate
the answer as an expression; data sets with a scorer of their own are refused unless it was read, so that no
model-written text ever runs here. With ``equality`` they may be used all the same: then their scorer is not asked, and only
the very text of the data set's own answer passes.

Each level is one configuration of the data set and a row of numbered entries: first the accepting ones, then those of
the suites. A task's check names its entry and the answer; the entry is made again, and compared, whenever it is judged.
"""

from __future__ import annotations

import functools
import json
import string
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from random import Random
from typing import Any

from loopwright.domains.gold import perturbed
from loopwright.domains.tasks import level_draws, make_task, whole
from loopwright.errors import InfraError
from loopwright.plugins import Alphabet
from loopwright.sandbox import Sandbox
from loopwright.types import Check, Progress, Task, Verdict, canonical, digest_bytes, seed_of

__all__ = ["ReasoningGym"]

_NAME = "reasoning-gym"
_ACCEPTING = ("visible", "hidden")
_SUITES = ("gate", "sealed")
_TEXT_ONLY = frozenset({"spell_backward"})
"""Data sets with a scorer of their own that was read and only compares text."""
_UNSTABLE = frozenset({"list_functions"})
"""Data sets some of whose entries are another one each time that they are asked for: no verdict could be repeated."""
_WORDS = {level: {"min_word_len": level + 2, "max_word_len": level + 2} for level in range(1, 5)}
_CHARACTERS = frozenset(string.ascii_letters + string.digits + string.punctuation + " \n")
_KNOWN = 8
"""Questions whose known answers watch the judge."""
_STRESS = 40
"""Stress tasks a kind, about."""
_BREAKS: tuple[Callable[[str], str], ...] = (lambda text: text[: len(text) // 3], lambda text: f"{text}\u00e9")
"""Too little to be a question, and a letter that no codec of this domain has."""
_LOOKED_AT = 20
"""Entries of a level whose characters join the alphabet; `entries` has more."""
_TRIES = 50
"""Entries that are looked at for one suite task before the level counts as exhausted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningGym:
    """The domain; its settings are recorded in the plan."""

    dataset: str = "spell_backward"
    """Name in the package's registry."""
    levels: Mapping[Any, Mapping[str, Any]] | None = None
    """The data set's configuration by level; by default words of three to six letters, of other data sets their own at level 1."""
    equality: bool = False
    """Judge a data set whose scorer is its own by equal text alone: no wrong answer passes, of several right ones only one does."""
    suite_seed: int = 0
    """Fixes all entries."""
    suite_per_level: int = 20
    """Tasks of each level in the gate suite and again in the sealed one."""
    human_levels: int = 2
    """So many of the first levels have human rows."""
    human_per_level: int = 200
    """Human rows of each of these levels, at most."""
    entries: int = 2000
    """Accepting entries of each level; some ask the same."""

    def __post_init__(self) -> None:
        whole("suite_seed", self.suite_seed, 0, 2**53)
        whole("suite_per_level", self.suite_per_level, 1, 1000)
        whole("human_levels", self.human_levels, 1, 100)
        whole("human_per_level", self.human_per_level, 0, 100_000)
        whole("entries", self.entries, 1, 1_000_000)
        if type(self.equality) is not bool:
            raise TypeError(f"equality must be true or false, not {self.equality!r}")
        default = _WORDS if self.dataset in _TEXT_ONLY else {1: {}}
        object.__setattr__(self, "levels", _levels_of(default if self.levels is None else self.levels))
        _known(self.dataset, equality=self.equality)
        for level in self._levels:
            if self._data(level)[0]["answer"] is None:
                raise ValueError(f"{self.dataset} has no answers of its own, only a scorer: choose another data set")

    @property
    def _levels(self) -> Mapping[int, Mapping[str, Any]]:
        assert self.levels is not None  # noqa: S101  # set above
        return self.levels

    def alphabet(self) -> Alphabet:
        """Printable ASCII, newline, and what a few entries have besides, a character each; prompts are cut like answers."""
        return Alphabet(words=(), lexemes=tuple(sorted(self._characters)))

    @property
    def _characters(self) -> frozenset[str]:
        return _CHARACTERS | _letters(self.dataset, self._configs, self._size)

    def suites(self) -> Mapping[str, Sequence[Task]]:
        """The ``gate`` and ``sealed`` suites: every level in equal parts, no question twice."""
        suites: dict[str, tuple[Task, ...]] = dict.fromkeys(_SUITES, ())
        taken: set[str] = set()
        for level in self._levels:
            indices = iter(range(self.entries, self.entries + len(_SUITES) * self.suite_per_level * _TRIES))
            for suite in _SUITES:
                tasks = tuple(islice(self._novel(level, indices, (suite,), taken), self.suite_per_level))
                if len(tasks) < self.suite_per_level:
                    raise ValueError(
                        f"level {level} of {self.dataset} has too few questions for suites of {self.suite_per_level}"
                    )
                suites[suite] += tasks
        return suites

    def stress(self) -> Mapping[str, Sequence[Task]]:
        """``perturbed`` questions, each blank doubled, and ``malformed`` ones, which are cut short or strange and have no check.

        They come from entries behind those of the suites, and no accepting entry and no suite asks the same, so that
        none is ever given out or stated. There are fewer where a level has no more new questions.
        """
        taken = {task.signature for suite in self.suites().values() for task in suite} | set(map(_signature, self._places()))
        first = self.entries + len(_SUITES) * self.suite_per_level * _TRIES
        each = _STRESS // len(self._levels) or 1
        plain = [
            task
            for level in self._levels
            for task in islice(self._novel(level, range(first, first + each * _TRIES), ("stress",), taken), each)
        ]
        broken = ["", " ", *(way(task.prompt) for task in plain for way in _BREAKS)]
        return {
            "perturbed": tuple(self._stressed(task, task.prompt.replace(" ", "  ")) for task in plain if " " in task.prompt),
            "malformed": tuple(self._stressed(None, text) for text in list(dict.fromkeys(broken))[:_STRESS]),
        }

    def _stressed(self, task: Task | None, prompt: str) -> Task:
        """The task in other words; a malformed one where there is none."""
        return make_task(
            f"{_NAME}/{self.dataset}",
            prompt=prompt,
            level=task.level if task else 0,
            signature=task.signature if task else _signature(f"malformed: {prompt}"),
            checks=task.checks if task else {},
            slices={"stress": "perturbed" if task else "malformed"},
        )

    def human(self, seed: int, refused: frozenset[str]) -> Sequence[tuple[Task, str]]:
        """Questions of the first levels with the data set's answers, no question twice."""
        rng = Random(seed_of(_NAME, "human", seed))
        taken = set(refused)
        chosen = [
            task
            for level in list(self._levels)[: self.human_levels]
            for task in islice(self._novel(level, self._accepting(level, rng), _ACCEPTING, taken), self.human_per_level)
        ]
        return [(task, task.checks["hidden"].outputs[0]) for task in chosen]

    def tasks(self, seed: int, count: int, weights: Mapping[int, float], refused: frozenset[str]) -> Sequence[Task]:
        """New questions, without ``weights`` of all levels in equal parts, no question twice.

        Raises:
            ValueError: a weight or a level makes no sense, or a level has no more new questions.
        """
        rng = Random(seed_of(_NAME, "tasks", seed))
        levels = level_draws(rng, count, weights or dict.fromkeys(self._levels, 1.0))
        taken = set(refused)
        streams = {level: self._novel(level, self._accepting(level, rng), _ACCEPTING, taken) for level in sorted(set(levels))}
        try:
            return [next(streams[level]) for level in levels]
        except StopIteration:
            raise ValueError(f"{self.dataset} has no {count} new questions: ask for fewer, or raise entries") from None

    def task(self, prompt: str) -> Task:
        """The accepting task of that question; ValueError where no accepting entry asks it."""
        level, index = self._places().get(prompt, (None, 0))
        task = None if level is None else next(self._novel(level, [index], _ACCEPTING, set()), None)
        if task is None:
            raise ValueError(f"no accepting entry of {self.dataset} asks {prompt!r}")
        return task

    def known(self) -> Sequence[tuple[Task, str, bool]]:
        """The first questions with the data set's answers, and with a letter too many, which is wrong."""
        level = next(iter(self._levels))
        tasks = islice(self._novel(level, range(self.entries), _ACCEPTING, set()), _KNOWN)
        rows = [(task, str(task.checks["hidden"].outputs[0])) for task in tasks]
        return [(task, answer, True) for task, answer in rows] + [(task, answer + "x", False) for task, answer in rows]

    def gold(self, seed: int, count: int) -> Sequence[tuple[Task, str, bool]]:
        """Questions of all levels with the data set's answers, and with those answers changed in one character, by turns."""
        rng = Random(seed_of(_NAME, "gold", seed))
        levels = list(self._levels)
        rows = []
        for place in range(count):
            indices = (int(rng.random() * self.entries) for _ in range(_TRIES))
            task = next(self._novel(levels[place // 2 % len(levels)], indices, _ACCEPTING, set()))
            answer, right = str(task.checks["hidden"].outputs[0]), place % 2 == 0
            rows.append((task, answer if right else perturbed(answer, rng), right))
        return rows

    def judge(
        self, pairs: Sequence[tuple[Task, str]], purposes: Sequence[str], sandbox: Sandbox, progress: Progress | None = None
    ) -> list[Verdict]:
        """Score each answer as text; the sandbox is not needed."""
        verdicts = []
        for done, (task, answer) in enumerate(pairs, start=1):
            failed = [purpose for purpose in purposes if not self._right(task, answer, task.checks[purpose])]
            reason = f"{failed[0]} check 0" if failed else ""
            verdicts.append(Verdict(status="FAIL" if failed else "PASS", level="data", reason=reason))
            if progress:
                progress(done, len(pairs), "answers")
        return verdicts

    def _right(self, task: Task, answer: str, check: Check) -> bool:
        place = check.inputs[0]
        data = self._data(place["level"])
        entry = data[place["index"]]
        if (_signature(entry["question"]), entry["answer"]) != (task.signature, check.outputs[0]):
            raise InfraError(
                f"entry {place['index']} of {self.dataset} is not what it was when the task {task.id} was made",
                "install the version of reasoning-gym that the lock names",
            )
        return answer == entry["answer"] if self.equality else data.score_answer(answer, entry) == 1.0

    def _seed(self, level: int) -> int:
        return seed_of(_NAME, self.dataset, level, self.suite_seed) % 2**31  # some data sets hand it to numpy

    def _data(self, level: int) -> Any:
        if level not in self._levels:
            raise ValueError(f"there is no level {level}: levels are {', '.join(map(str, self._levels))}")
        return _data(self.dataset, _text(self._levels[level]), self._seed(level), self._size)

    @property
    def _size(self) -> int:
        """Entries that may be asked for: accepting ones, the suites', the stress suite's."""
        return self.entries + (len(_SUITES) * self.suite_per_level + _STRESS) * _TRIES

    @property
    def _configs(self) -> tuple[tuple[int, str, int], ...]:
        return tuple((level, _text(config), self._seed(level)) for level, config in self._levels.items())

    def _accepting(self, level: int, rng: Random) -> list[int]:
        """Entries of a level in random order, none that asks what an earlier one or a lower level asks."""
        places = self._places().values()
        return sorted((index for at, index in places if at == level), key=lambda _: rng.random())

    def _places(self) -> Mapping[str, tuple[int, int]]:
        return _questions(self.dataset, self._configs, self.entries, self._size)

    def _novel(self, level: int, indices: Iterable[int], purposes: Sequence[str], taken: set[str]) -> Iterator[Task]:
        """Tasks of these entries, without questions that are taken or cannot be spelt; what it yields is taken."""
        data, characters = self._data(level), self._characters
        for index in indices:
            entry = data[index]
            question, answer = entry["question"], entry["answer"]
            if not (_spelt(question, characters) and _spelt(answer, characters)):
                continue
            signature = _signature(question)
            if signature in taken:
                continue
            taken.add(signature)
            check = Check(inputs=({"level": level, "index": index},), outputs=(answer,))
            yield make_task(
                f"{_NAME}/{self.dataset}",
                prompt=question,
                level=level,
                signature=signature,
                checks=dict.fromkeys(purposes, check),
                slices={"dataset": self.dataset},
            )


def _levels_of(levels: object) -> dict[int, dict[str, Any]]:
    if not isinstance(levels, Mapping) or not levels:
        raise TypeError(f"levels must map numbers to configurations, not {levels!r}")
    try:
        plain = {int(level): dict(config) for level, config in levels.items()}
    except (TypeError, ValueError) as error:
        raise ValueError(f"levels must map numbers to configurations: {error}") from error
    return dict(sorted(plain.items()))


def _text(config: Mapping[str, Any]) -> str:
    return canonical(config).decode()


def _signature(question: str) -> str:
    return digest_bytes(question.encode("utf-8", "surrogatepass"))


def _spelt(text: object, characters: frozenset[str]) -> bool:
    return isinstance(text, str) and bool(text) and set(text) <= characters


def _known(name: str, *, equality: bool) -> None:
    """ValueError where the package has no such data set, or its scorer may do more than compare text."""
    from reasoning_gym.dataset import ProceduralDataset
    from reasoning_gym.factory import DATASETS

    if name not in DATASETS:
        near = get_close_matches(str(name), DATASETS, n=3)
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        raise ValueError(f"reasoning-gym has no data set {name!r} ({meant}it has {', '.join(sorted(DATASETS))})")
    if name in _UNSTABLE:
        raise ValueError(f"{name} makes some entries anew each time that it is asked for them: choose another data set")
    own = DATASETS[name][0].score_answer is not ProceduralDataset.score_answer
    if own and name not in _TEXT_ONLY and not equality:
        raise ValueError(
            f"{name} has a scorer of its own, which may evaluate answers: choose a data set that compares text, "
            "or set `equality: true`, and only the data set's own answer passes"
        )


@functools.lru_cache(maxsize=64)
def _data(name: str, config: str, seed: int, size: int) -> Any:
    """The package's data set, whose entry ``i`` depends on ``seed + i`` alone."""
    from reasoning_gym.factory import create_dataset

    try:
        return create_dataset(name, seed=seed, size=size, **json.loads(config))
    except (AssertionError, TypeError, ValueError, KeyError) as error:
        raise ValueError(f"{name} refuses the configuration {config}: {error}") from error


@functools.lru_cache(maxsize=8)
def _letters(name: str, configs: tuple[tuple[int, str, int], ...], size: int) -> frozenset[str]:
    """Characters of the first entries of every level, which a codec must have; entries with others are left out."""
    entries = (_data(name, config, seed, size)[index] for _, config, seed in configs for index in range(_LOOKED_AT))
    return frozenset("".join(str(entry["question"]) + str(entry["answer"]) for entry in entries))


@functools.lru_cache(maxsize=2)
def _questions(name: str, configs: tuple[tuple[int, str, int], ...], entries: int, size: int) -> Mapping[str, tuple[int, int]]:
    """Level and number of the accepting entry that asks each question; of equal questions the first."""
    found: dict[str, tuple[int, int]] = {}
    for level, config, seed in configs:
        data = _data(name, config, seed, size)
        for index in range(entries):
            found.setdefault(data[index]["question"], (level, index))
    return found
