"""The static scan: what a program may not contain, read before it runs. It bounds what the sandbox must bear, and replaces nothing.

Two readers, each in a process of its own: ours (`loopwright.verify.constructs`), for what only an attack on the judge
needs; and ruff's security rules (``S``, from flake8-bandit), for what nobody wants to train on. Both parse hostile text,
and a parser can be brought to overflow its stack: where a reader dies, halves of its batch are read again until the
program that kills it is alone, and is refused. Parts of a large batch are read side by side. What is no Python at all
is left to the sandbox, which says so.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from loopwright.errors import InfraError
from loopwright.store.hashing import default_threads
from loopwright.verify import constructs

__all__ = ["UNREADABLE", "read_by", "scan"]

UNREADABLE = "it kills what reads it"
"""The finding on a program that ends a parser's process, or keeps it busy for a minute."""
_SECONDS = 60.0
_PART = 512
"""Programs that one pair of readers gets at once; as many pairs read as there are processors."""
_NOT_SECURITY = ("S101", "S311")
"""Assertions, and random numbers that nobody takes for secrets."""
_KNOWN = "eval(input())\n"
"""Read with every batch: ruff skips in silence what it thinks it was told to ignore."""

Findings = dict[str, str | None]
Reader = Callable[[Mapping[str, str], Path], Findings | None]
"""What a reader found in each program; None where it died."""


def scan(sources: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """What each program contains that it may not, by the program's name; the clean ones are left out.

    Args:
        sources: Modules by any name.
        scratch: A folder to work in; what is below ``scan`` is removed.

    Raises:
        InfraError: a reader cannot be run, or does not read.
    """
    names, place = list(sources), scratch / "scan"
    parts = [{name: sources[name] for name in names[start : start + _PART]} for start in range(0, len(names), _PART)]
    with ThreadPoolExecutor(default_threads()) as readers:  # each waits for processes of its own
        found = readers.map(_read, parts, [place / str(number) for number in range(len(parts))])
        said = {name: finding for part in found for name, finding in part.items() if finding}
    shutil.rmtree(place, ignore_errors=True)
    return said


def _read(sources: Mapping[str, str], place: Path) -> Findings:
    """By both readers; what the first one objects to, or can't read as Python, the second one never sees."""
    place.mkdir(parents=True, exist_ok=True)
    seen = read_by(Path(constructs.__file__), sources, place)
    return {**seen, **_halved(_ruff, {name: sources[name] for name in sources if seen[name] is None}, place)}


def _halved(reader: Reader, sources: Mapping[str, str], scratch: Path) -> Findings:
    if not sources:
        return {}
    found = reader(sources, scratch)
    if found is not None:
        return found
    if len(sources) == 1:
        if reader({"known": "pass\n"}, scratch) is None:
            raise InfraError("the static scan dies of any program", "pip install what the lock names, then `loopwright run`")
        return dict.fromkeys(sources, UNREADABLE)
    names = sorted(sources)
    middle = len(names) // 2
    halves = ({name: sources[name] for name in part} for part in (names[:middle], names[middle:]))
    return {name: said for half in halves for name, said in _halved(reader, half, scratch).items()}


def read_by(script: Path, sources: Mapping[str, str], scratch: Path) -> Findings:
    """What a script says of each program (JSON in, JSON out), each of them read away from those that kill it.

    Raises:
        InfraError: it cannot be run.
    """

    def reader(some: Mapping[str, str], place: Path) -> Findings | None:
        said = _said([sys.executable, "-I", "-S", str(script)], place, json.dumps(dict(some)), ends=(0,))
        return None if said is None else json.loads(said)

    return _halved(reader, sources, scratch)


def _ruff(sources: Mapping[str, str], scratch: Path) -> Findings | None:
    """The first finding of ruff's security rules in each program."""
    from ruff.__main__ import find_ruff_bin

    place = scratch / "scan"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    names = {f"p{number:06}.py": name for number, name in enumerate(sorted(sources))}
    for file, text in {"known.py": _KNOWN, **{file: sources[name] for file, name in names.items()}}.items():
        (place / file).write_text(text, encoding="utf-8")
    rules = ["--select", "S", "--ignore", ",".join(_NOT_SECURITY), "--ignore-noqa", "--no-respect-gitignore"]
    command = [find_ruff_bin(), "check", "--isolated", "--no-cache", "--quiet", *rules, "--output-format", "json", "."]
    said = _said(command, place, "", ends=(0, 1))  # 1: it found something
    if said is None:
        return None
    found: dict[str, str] = {}
    for each in json.loads(said):
        if str(each["code"]).startswith("S"):
            found.setdefault(Path(each["filename"]).name, f"{each['code']} {each['message']}"[:120])
    if "known.py" not in found:
        raise InfraError("ruff did not read the programs that it was given", "pip install the ruff that the lock names")
    return {name: found.get(file) for file, name in names.items()}


def _said(command: Sequence[str], place: Path, text: str, ends: Sequence[int]) -> str | None:
    """What a reader wrote; None where it died or did not end.

    Raises:
        InfraError: it cannot be started, or refuses its arguments: no program's doing.
    """
    try:
        done = subprocess.run(
            command, cwd=place, input=text, capture_output=True, text=True, check=False, timeout=_SECONDS, encoding="utf-8"
        )
    except subprocess.TimeoutExpired:
        return None
    except OSError as error:
        raise InfraError(f"the static scan cannot start: {error}", "pip install ruff, then `loopwright run`") from error
    if done.returncode == 2:  # of both: wrong arguments
        raise InfraError(f"the static scan failed: {done.stderr.strip()[-300:]}", "pip install the ruff that the lock names")
    return done.stdout if done.returncode in ends else None
