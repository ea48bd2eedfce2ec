"""Domain `folder`: bring your own. A folder of the workspace with ``tasks.jsonl`` and ``verifier.py``; no package to install.

``verifier.py`` defines ``check(task, answer) -> dict``. It runs in the sandbox, a process for every answer, with what the line
gives it to work with; what it returns is plain data, and is compared out here with what the line expects. So the expected
values are never in the memory of the process that an answer may have taken over, should the verifier run it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loopwright.domains.filed import Filed, Part, Pool, level_of, named_path, part_of, read_filed
from loopwright.errors import PhaseError, PlanError
from loopwright.plugins import Alphabet
from loopwright.sandbox import Job, Outcome, Sandbox, judge
from loopwright.types import Check, Progress, Task, Verdict, digest_value, seed_of

__all__ = ["TASKS", "VERIFIER", "Folder"]

TASKS, VERIFIER = "tasks.jsonl", "verifier.py"
_NAME = "folder"
_ENTRY = "loopwright_check"
_CALL = f"\n\ndef {_ENTRY}(given):\n    return check(given['task'], given['answer'])\n"
_KEYS = frozenset({"prompt", "expected", "data", "level", "slices", "split", "group", "answer", "wrong"})
_KNOWN = 8
"""Right and wrong answers that watch the judge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """The domain; its settings are recorded in the plan, the folder's digest in every cycle's first entry."""

    path: str
    """The folder, within the workspace. A line of ``tasks.jsonl`` is a JSON object with

    * ``prompt``: what the model is asked;
    * ``expected``: the object that the verifier must return for a right answer, to the letter and the type;
    * ``data``: what the verifier is given besides (null); a model may come to see it, ``expected`` it cannot;
    * ``answer``: a right answer by a person; ``wrong``: a list of wrong ones, which watch the verifier;
    * ``level`` (from 1), ``slices`` (texts by name), ``split`` (gate, sealed, human or tasks), ``group`` (lines of a group,
      for example one question in several wordings, are of one part).
    """
    split_seed: int = 0
    """Fixes which task is of which part, where its line does not say."""
    gate_share: float = 0.25
    """Of the tasks, about."""
    sealed_share: float = 0.25
    """Of the tasks, about."""
    human_share: float = 0.25
    """Share of the tasks whose right answers the first model learns from, about; models are asked the rest."""
    _pool: Pool = field(init=False, repr=False, compare=False)
    _verifier: str = field(init=False, repr=False, compare=False)
    _wrong: Mapping[str, Sequence[str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        place = named_path(self.path)
        wrong: dict[str, Sequence[str]] = {}
        lines = read_filed(place / TASKS, lambda row, where: _filed(row, where, wrong))
        shares: dict[Part, float] = {"gate": self.gate_share, "sealed": self.sealed_share, "human": self.human_share}
        object.__setattr__(self, "_pool", Pool(_NAME, lines, self.split_seed, shares))
        object.__setattr__(self, "_verifier", _source(place / VERIFIER))
        object.__setattr__(self, "_wrong", wrong)

    def alphabet(self) -> Alphabet:
        """Printable ASCII, newline, and what else the file has, a character each."""
        return self._pool.alphabet()

    def counts(self) -> Mapping[Part, int]:
        """Tasks by part."""
        return self._pool.counts()

    def suites(self) -> Mapping[str, Sequence[Task]]:
        """The ``gate`` and ``sealed`` tasks."""
        return self._pool.suites()

    def human(self, seed: int, refused: frozenset[str]) -> Sequence[tuple[Task, str]]:
        """Tasks with their right answers (`Pool.human`)."""
        return self._pool.human(seed, refused)

    def tasks(self, seed: int, count: int, weights: Mapping[int, float], refused: frozenset[str]) -> Sequence[Task]:
        """Tasks to be asked (`Pool.tasks`)."""
        return self._pool.tasks(seed, count, weights, refused)

    def task(self, prompt: str) -> Task:
        """The accepting task of that prompt; ValueError where there is none."""
        return self._pool.task(prompt)

    def answers(self) -> Sequence[tuple[Task, str, bool]]:
        """All answers that the file gives to accepting tasks, and whether it says that they are right."""
        right = self._pool.answered()
        said = [(task, answer, True) for task, answer in right]
        return said + [(task, answer, False) for task, _ in right for answer in self._wrong.get(task.prompt, ())]

    def known(self) -> Sequence[tuple[Task, str, bool]]:
        """Some of the answers that the file calls right, and of those that it calls wrong."""
        return [row for truth in (True, False) for row in [row for row in self.answers() if row[2] is truth][:_KNOWN]]

    def gold(self, seed: int, count: int) -> Sequence[tuple[Task, str, bool]]:
        """Answers that the file calls right and wrong, in equal parts and none twice; nothing where it calls none wrong."""
        rows = sorted(self.answers(), key=lambda row: seed_of(_NAME, "gold", seed, row[0].id, row[1]))
        halves = [[row for row in rows if row[2] is truth] for truth in (True, False)]
        most = min(count // 2, *map(len, halves))
        return [row for half in halves for row in half[:most]]

    def judge(
        self, pairs: Sequence[tuple[Task, str]], purposes: Sequence[str], sandbox: Sandbox, progress: Progress | None = None
    ) -> list[Verdict]:
        """Let the verifier look at each answer, in a process of its own, and compare what it says with what is expected.

        Raises:
            PhaseError: the verifier cannot be loaded: no answer's fault, so there is no verdict.
        """
        distinct = {(task.id, answer): (task, answer) for task, answer in pairs}
        outcomes = self.seen(list(distinct.values()), purposes, sandbox, progress)
        verdicts = {
            key: judge(outcome, [(purpose, task.checks[purpose]) for purpose in purposes])
            for (key, (task, _)), outcome in zip(distinct.items(), outcomes, strict=True)
        }
        return [verdicts[task.id, answer] for task, answer in pairs]

    def seen(
        self, pairs: Sequence[tuple[Task, str]], purposes: Sequence[str], sandbox: Sandbox, progress: Progress | None = None
    ) -> list[Outcome]:
        """What the verifier returned for each answer, purpose by purpose; PhaseError as `judge`."""
        source = self._verifier + _CALL
        jobs = [
            Job(source=source, entry=_ENTRY, inputs=tuple(_given(task, purpose, answer) for purpose in purposes))
            for task, answer in pairs
        ]
        outcomes = sandbox.run(jobs, progress)
        broken = [outcome for outcome in outcomes if outcome.status == "LOAD_ERROR"]
        if broken:
            raise PhaseError(
                f"{VERIFIER} does not load in the sandbox: {broken[0].detail or 'LOAD_ERROR'}",
                f"it can import what the sandbox has, and no file; try `loopwright domain check {self.path}`",
            )
        return outcomes


def _given(task: Task, purpose: str, answer: str) -> dict[str, Any]:
    asked = {"prompt": task.prompt, "level": task.level, "slices": dict(task.slices), "data": task.checks[purpose].inputs[0]}
    return {"task": asked, "answer": answer}


def _source(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(
            f"{path} cannot be read: {error}", "`loopwright domain new FOLDER` makes a folder that works"
        ) from error
    if "def check(" not in text:
        raise PlanError(f"{path} defines no `check(task, answer)`", "`loopwright domain new FOLDER` shows its form")
    return text


def _filed(row: dict[str, Any], where: str, wrong: dict[str, Sequence[str]]) -> Filed:
    """A line as a task; its ``wrong`` answers are put beside it by prompt."""
    if unknown := sorted(row.keys() - _KEYS):
        raise ValueError(f"{', '.join(unknown)}: no such key; there are {', '.join(sorted(_KEYS))}")
    prompt, answer, expected = row.get("prompt"), row.get("answer"), row.get("expected")
    if not isinstance(prompt, str) or not prompt.strip():
        raise ValueError("prompt: text is needed")
    if not isinstance(expected, dict) or not expected:
        raise ValueError("expected: an object is needed, with what the verifier must return for a right answer")
    if answer is not None and not (isinstance(answer, str) and answer.strip()):
        raise ValueError("answer: text is needed")
    false = row.get("wrong", [])
    if not isinstance(false, list) or not all(isinstance(each, str) for each in false) or answer in false:
        raise ValueError("wrong: a list of texts is needed, none of them the right answer")
    wrong[prompt] = tuple(false)
    return Filed(
        where=where,
        prompt=prompt,
        check=Check(inputs=(row.get("data"),), outputs=(expected,)),
        signature=digest_value(["folder", " ".join(prompt.casefold().split())]),
        level=level_of(row, 1),
        slices=_texts(row, "slices"),
        answer=answer,
        part=part_of(row),
        group=_group(row),
    )


def _texts(row: Mapping[str, Any], key: str) -> Mapping[str, str]:
    said = row.get(key, {})
    if not isinstance(said, dict) or not all(isinstance(text, str) for text in said.values()):
        raise ValueError(f"{key}: texts by name are needed")
    return said


def _group(row: Mapping[str, Any]) -> str | None:
    said = row.get("group")
    if said is not None and not (isinstance(said, str) and said):
        raise ValueError("group: text is needed")
    return said
