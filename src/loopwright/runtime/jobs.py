"""What both executors promise alike: how a function is called, how its errors travel, where a job keeps its files.

A function runs inside one boundary (`perform`): errors of `loopwright.errors` pass as they are, everything else becomes an
InfraError that carries the traceback as a note. Jobs and results are plain JSON in both executors, so a tuple or a NaN key
that would not survive the way to a cluster does not survive in this process either.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import platform
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from loopwright.errors import InfraError, LoopwrightError, UsageError

__all__ = [
    "Job",
    "import_early",
    "instruction_sets",
    "limit_threads",
    "one_line",
    "pack",
    "pack_function",
    "perform",
    "perform_packed",
    "plain",
    "progress_of",
    "said",
    "storage_of",
    "unpack",
]

_WIDE = ("avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve")
"""Of a CPU's flags those by which libraries choose how they add up, and so how the last bits come out."""

_LONGEST = 600
"""Characters of what Ray says that a person gets to read."""

Job = Mapping[str, Any]
"""Plain JSON with ``key`` (a directory name) and ``storage`` (an absolute path)."""


def perform(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of the phases; the one place where a foreign exception becomes one of ours.

    Raises:
        LoopwrightError: as the function raised it.
        InfraError: the function raised anything else.
    """
    try:
        return function(*arguments)
    except LoopwrightError as error:
        if not hasattr(error, "__notes__"):  # the first boundary saw the whole way
            error.add_note(traceback.format_exc())
        raise
    except Exception as error:  # the boundary between our code and whatever a plug-in, torch or the disk may raise
        failed = InfraError(
            f"{_name(function)} failed: {type(error).__name__}: {error}", "see the traceback with --debug, mend it, run again"
        )
        failed.add_note(traceback.format_exc())
        raise failed from error


def pack_function(function: Callable[..., Any]) -> bytes:
    """A function as a reference that other processes can import.

    Raises:
        UsageError: it is a lambda, a closure, or lives in ``__main__``.
    """
    plain_function = getattr(function, "func", function)
    try:
        packed = pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UsageError(
            f"{_name(function)} cannot run on a worker: {error}", "define it at the top level of a module"
        ) from error
    if plain_function.__module__ == "__main__":
        raise UsageError(f"{_name(function)} cannot run on a worker: it lives in __main__", "move it to a module of its own")
    return packed


def pack(outcome: Any) -> bytes:
    """A value or a LoopwrightError on its way between two processes of one run; never stored."""
    return pickle.dumps(outcome)


def unpack(packed: bytes) -> Any:
    """What `pack` packed; an error is raised, a value returned."""
    outcome = pickle.loads(packed)  # noqa: S301  # from our own workers, over connections that need this run's token
    if isinstance(outcome, LoopwrightError):
        raise outcome
    return outcome


def perform_packed(function: bytes, item: bytes) -> tuple[bool, bytes]:
    """Call a packed function on a packed item; whether it worked, and the packed result or error."""
    try:
        called, value = perform(_load, function, item)
        return True, perform(pack, perform(called, value))
    except LoopwrightError as error:
        return False, pack(error)


def _load(function: bytes, item: bytes) -> tuple[Callable[[Any], Any], Any]:
    return pickle.loads(function), pickle.loads(item)  # noqa: S301  # both come from this run's driver


def plain(value: Any) -> Any:
    """The value as JSON gives it back.

    Raises:
        InfraError: it is not plain JSON.
    """
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError) as error:
        raise InfraError(
            f"not plain JSON: {error}", "jobs and results of training are numbers, text, lists and maps"
        ) from error


def storage_of(job: Job) -> Path:
    """The directory that all ranks of a job share, made if need be.

    Raises:
        ValueError: ``storage`` is not an absolute path, or ``key`` not a plain name.
    """
    key, parent = str(job["key"]), Path(str(job["storage"]))
    if not parent.is_absolute() or key in {"", ".", ".."} or Path(key).name != key:
        raise ValueError(f"a job needs an absolute storage and a plain name for its key, not {parent} and {key!r}")
    storage = parent / key
    storage.mkdir(parents=True, exist_ok=True)
    return storage


def progress_of(metrics: Mapping[str, float]) -> tuple[int, int] | None:
    """``(step, steps)`` where the metrics say both."""
    return (int(metrics["step"]), int(metrics["steps"])) if {"step", "steps"} <= metrics.keys() else None


def said(error: Exception) -> str:
    """An error of Ray's in one line: its cause, without the traceback of the process in which it was raised."""
    cause = getattr(error, "cause", None) or error
    return f"{type(cause).__name__}: {one_line(str(cause))}"[:_LONGEST]


def one_line(text: str) -> str:
    """The text without line breaks, runs of blanks and colours."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())


def import_early(names: Iterable[str]) -> None:
    """Import modules before they are needed. One that is missing is the business of the work that needs it."""
    for name in names:
        with suppress(ImportError):
            importlib.import_module(name)


def limit_threads(count: int) -> None:
    """Let torch compute with ``count`` threads, whether it is loaded already or will be."""
    os.environ["OMP_NUM_THREADS"] = str(count)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(count)


def _name(function: Callable[..., Any]) -> str:
    named = getattr(function, "func", function)
    return f"{getattr(named, '__module__', '?')}.{getattr(named, '__qualname__', repr(named))}"


def instruction_sets() -> str:
    """Machine and vector instructions of this host, for example ``x86_64 avx avx2 fma``: why two machines may differ in the last bit."""
    flags: set[str] = set()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        flags = {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.partition(":")[2].split()}
    return " ".join((platform.machine(), *(name for name in _WIDE if name in flags)))
