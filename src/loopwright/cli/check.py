"""`loopwright check`: programs against tests in the sandbox, one or many; the same mechanism that the verify phase uses."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer

from loopwright.cli.options import AsJson, emit
from loopwright.domains.humaneval import human_eval_script
from loopwright.errors import InfraError, RefusedError, UsageError

__all__ = ["Program", "check", "register"]

_PIECE = 200
"""Programs judged between two writings of results."""
_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program with its tests, read and well-formed."""

    name: str
    source: str
    entry: str
    inputs: tuple[Any, ...] = ()
    outputs: tuple[Any, ...] = ()
    script: str | None = None
    """An assert script instead of inputs and outputs."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(check)


def check(
    program: Annotated[Path | None, typer.Argument(help="A Python file.")] = None,
    tests: Annotated[
        Path | None,
        typer.Option(help='{"entry": "f", "inputs": [..], "outputs": [..]}; "spread": true: an input is a list of arguments.'),
    ] = None,
    asserts: Annotated[Path | None, typer.Option(help="A script with assertions that calls the entry.")] = None,
    entry: Annotated[str | None, typer.Option(help="The function that the script calls; else the program's last one.")] = None,
    admit: Annotated[
        list[Path] | None,
        typer.Option(help="A test script to try on PROGRAM, a right one, and on mutants of it; may be given several times."),
    ] = None,
    batch: Annotated[
        Path | None,
        typer.Option(help="A folder of NAME.py with NAME.json or NAME.asserts.py, or a HumanEval file (.jsonl)."),
    ] = None,
    minimum_level: Annotated[str, typer.Option(help="Isolation below which nothing runs: SL1, SL2 or SL3.")] = "SL2",
    seconds: Annotated[float, typer.Option(min=0.1, help="Limit for one program.")] = 5.0,
    memory_mib: Annotated[int, typer.Option(min=16, help="Limit for one program.")] = 512,
    workers: Annotated[int, typer.Option(min=1, help="Programs at a time.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Run a program against tests in the sandbox: PASS, FAIL, TIMEOUT or INFRA; exit 3 when it is not PASS.

    Answers are compared outside the program's process, and exactly: 1 is not True, and a list is no tuple. With --admit the
    tests themselves are tried: one is admitted if it passes on the program and fails on most mutants; exit 3 when one is not.
    """
    from loopwright.sandbox import Limits
    from loopwright.sandbox.pool import open_sandbox

    if minimum_level not in {"SL1", "SL2", "SL3"}:
        _refuse(f"no level {minimum_level!r}: SL1, SL2 or SL3")
    level: Any = minimum_level
    limits = Limits(wall_seconds=seconds, cpu_seconds=max(1, round(seconds)), memory_bytes=memory_mib * 2**20)
    if admit:
        if program is None or tests or asserts or batch:
            _refuse("--admit goes with one program, and without --tests, --asserts and --batch")
        _admit(admit, program, entry, (level, workers, limits), as_json=as_json)
        return
    programs = list(_batch(batch)) if batch else [_single(program, tests, asserts, entry)]
    began = time.monotonic()
    counts: Counter[str] = Counter()
    with open_sandbox(level, min(workers, len(programs)), limits) as sandbox:
        for start in range(0, len(programs), _PIECE):
            piece = programs[start : start + _PIECE]
            for told in _judged(piece, sandbox):
                counts[told["verdict"]] += 1
                _show(told, as_json=as_json)
            if batch and sys.stderr.isatty():
                sys.stderr.write(f"\r{start + len(piece)}/{len(programs)} programs")
    _conclude(counts, time.monotonic() - began, many=batch is not None, as_json=as_json)


def _admit(paths: Sequence[Path], program: Path, entry: str | None, opened: tuple[Any, int, Any], *, as_json: bool) -> None:
    from loopwright.cli.admission import try_tests
    from loopwright.sandbox.pool import open_sandbox

    scripts, source = [(path, _text(path)) for path in paths], _text(program)
    point = entry or _last_function(source, program)
    with open_sandbox(*opened) as sandbox:
        try_tests(scripts, source, point, sandbox, as_json=as_json)


def _judged(programs: Sequence[Program], sandbox: Any) -> list[dict[str, Any]]:
    """A verdict a program, in order, as plain values."""
    from loopwright.sandbox import AssertJob, Job, judge
    from loopwright.types import Check

    plain = [place for place, program in enumerate(programs) if program.script is None]
    scripted = [place for place, program in enumerate(programs) if program.script is not None]
    asked = [programs[place] for place in plain]
    outcomes = sandbox.run([Job(source=each.source, entry=each.entry, inputs=each.inputs) for each in asked])
    judged = [
        judge(outcome, [("tests", Check(inputs=each.inputs, outputs=each.outputs))])
        for each, outcome in zip(asked, outcomes, strict=True)
    ]
    if scripted:
        asked = [programs[place] for place in scripted]
        judged += sandbox.run_asserts(
            [AssertJob(source=each.source, entry=each.entry, script=each.script or "") for each in asked]
        )
    verdicts = dict(zip((*plain, *scripted), judged, strict=True))  # by place: one task may have several completions
    return [_told(each.name, verdicts[place]) for place, each in enumerate(programs)]


def _told(name: str, verdict: Any) -> dict[str, Any]:
    word: Literal["PASS", "FAIL", "TIMEOUT", "INFRA"] = (
        verdict.status if verdict.status in {"PASS", "TIMEOUT", "INFRA"} else "FAIL"
    )
    return {
        "schema_version": _SCHEMA,
        "program": name,
        "verdict": word,
        "status": verdict.status,
        "reason": verdict.reason,
        "level": verdict.level,
        "seconds": round(verdict.seconds, 4),
    }


def _show(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit(told)
        return
    reason = f"  {told['reason']}" if told["reason"] else ""
    finer = f" ({told['status']})" if told["status"] != told["verdict"] else ""
    sys.stdout.write(f"{told['verdict']:<7} {told['program']}  {told['level']}  {told['seconds']:.3f} s{finer}{reason}\n")


def _conclude(counts: Counter[str], seconds: float, *, many: bool, as_json: bool) -> None:
    total = sum(counts.values())
    if many and as_json:
        emit({"schema_version": _SCHEMA, "summary": dict(counts), "programs": total, "seconds": round(seconds, 3)})
    elif many:
        said = ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
        sys.stderr.write(f"\r{total} programs in {seconds:.1f} s ({total / seconds:.0f}/s): {said}\n")
    if counts["PASS"] < total:  # the results are on stdout already: what follows is for a person, and the exit code
        what = "could not be judged: `loopwright doctor` looks at the sandbox" if counts["INFRA"] else "did not pass"
        sys.stderr.write(f"{counts['INFRA'] or total - counts['PASS']} of {total} programs {what}\n")
        raise typer.Exit(InfraError.exit_code if counts["INFRA"] else RefusedError.exit_code)


def _single(program: Path | None, tests: Path | None, asserts: Path | None, entry: str | None) -> Program:
    if program is None or (tests is None) == (asserts is None):
        _refuse("one program with --tests or --asserts, or --batch", "loopwright check --help")
    source = _text(program)
    if tests is not None:
        return _with_tests(program.name, source, tests)
    assert asserts is not None  # noqa: S101  # by the condition above
    return Program(name=program.name, source=source, entry=entry or _last_function(source, program), script=_text(asserts))


def _batch(place: Path) -> Iterator[Program]:
    if place.is_file():
        yield from _human_eval(place)
        return
    found = sorted(path for path in place.glob("*.py") if not path.name.endswith(".asserts.py"))
    if not found:
        _refuse(f"{place} has no NAME.py", "each NAME.py needs NAME.json or NAME.asserts.py beside it")
    for path in found:
        tests, script = path.with_suffix(".json"), path.with_suffix(".asserts.py")
        if tests.exists() == script.exists():
            _refuse(f"{path} needs one of {tests.name} and {script.name} beside it")
        yield _single(path, tests if tests.exists() else None, script if script.exists() else None, None)


def _human_eval(path: Path) -> Iterator[Program]:
    """Lines with ``task_id``, ``prompt``, ``entry_point``, ``test`` and ``completion`` (or ``canonical_solution``).

    The script gets the prompt, too: some tests call its helpers. Chen et al., arXiv 2107.03374.
    """
    for number, line in enumerate(_text(path).splitlines(), 1):
        try:
            row = json.loads(line)
            body = row["completion"] if "completion" in row else row["canonical_solution"]
            name, prompt, point, test = (str(row[key]) for key in ("task_id", "prompt", "entry_point", "test"))
        except (ValueError, KeyError, TypeError) as error:
            _refuse(f"{path}:{number}: not a HumanEval row ({error!r})")
        yield Program(name=name, source=prompt + str(body), entry=point, script=human_eval_script(prompt, point, test))


def _with_tests(name: str, source: str, path: Path) -> Program:
    try:
        told = json.loads(_text(path))
    except ValueError as error:
        _refuse(f"{path}:{getattr(error, 'lineno', 1)}: no JSON ({error})")
    wrong = _what_is_wrong(told)
    if wrong:
        _refuse(f"{path}: {wrong}", '{"entry": "f", "inputs": [[1, 2]], "outputs": [[2, 4]]}')
    entry = told["entry"]
    if told.get("spread"):
        source, entry = f"{source}\ndef loopwright_spread(values):\n    return {entry}(*values)\n", "loopwright_spread"
    return Program(name=name, source=source, entry=entry, inputs=tuple(told["inputs"]), outputs=tuple(told["outputs"]))


def _what_is_wrong(told: Any) -> str | None:
    if not isinstance(told, dict) or not {"entry", "inputs", "outputs"} <= told.keys() <= {
        "entry",
        "inputs",
        "outputs",
        "spread",
    }:
        return "the keys are entry, inputs, outputs and, if you like, spread"
    if not isinstance(told["entry"], str) or not told["entry"].isidentifier():
        return f"entry: {told['entry']!r} is no name of a function"
    if not isinstance(told["inputs"], list) or not isinstance(told["outputs"], list):
        return "inputs and outputs are lists"
    if not told["inputs"] or len(told["inputs"]) != len(told["outputs"]):
        return (
            f"{len(told['inputs'])} inputs and {len(told['outputs'])} outputs: as many of the one as of the other, at least one"
        )
    if told.get("spread") not in {None, True, False} or (
        told.get("spread") and not all(type(each) is list for each in told["inputs"])
    ):
        return "with spread each input is a list of arguments"
    return None


def _last_function(source: str, path: Path) -> str:
    import ast

    try:
        names = [node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    except (SyntaxError, ValueError, RecursionError) as error:
        _refuse(f"{path}: cannot tell which function is meant ({error})", "name it with --entry")
    if not names:
        _refuse(f"{path} defines no function", "name it with --entry")
    return names[-1]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        _refuse(f"{path} cannot be read: {error}")


def _refuse(message: str, next_step: str = "") -> NoReturn:
    raise UsageError(message, next_step or "loopwright check --help")
