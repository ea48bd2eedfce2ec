"""What goes to a candidate and what is made of what comes back: bytes from a hostile process, read strictly.

An answer is one frame: four bytes of length, then JSON. Whoever wrote it, it can only state outputs; everything else
about the job comes from the zygote's report. Exact JSON types, no duplicate keys, no NaN, no byte too many, no nesting in
which whoever works with an output would get lost.
"""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Mapping
from typing import Any, NoReturn

from loopwright.sandbox import Job, Limits, Outcome
from loopwright.sandbox.codec import DEEPEST
from loopwright.types import Level, Status

__all__ = [
    "ENVELOPE_BYTES",
    "SOURCE_BYTES",
    "answer_of",
    "cut_short",
    "framed",
    "framed_text",
    "job_frames",
    "outcome_of",
    "take_frame",
]

SOURCE_BYTES = 2**20
"""Longer sources are not loaded."""
ENVELOPE_BYTES = 1024
"""What an answer may be longer than its outputs."""
_HEADER = 4
_CLAIMS: tuple[Status, ...] = ("PASS", "FAIL", "LOAD_ERROR", "MEMORY", "OUTPUT_LIMIT", "BAD_OUTPUT")
"""What an answer may say of itself; INFRA, TIMEOUT and SIGNAL are not the candidate's to claim."""
_LONGEST_NAME = 64
_TIME = "time is up"
"""By the clock or by the processor: which of them came first depends on the machine, so it isn't said."""


def job_frames(job: Job) -> tuple[bytes, bytes]:
    """Frame 1, what to load, and frame 2, what to call it with."""
    return framed({"source": job.source, "entry": job.entry}), framed(list(job.inputs))


def framed(value: Any) -> bytes:
    """A JSON value as one frame."""
    return framed_text(json.dumps(value, allow_nan=False, separators=(",", ":")))


def framed_text(text: str) -> bytes:
    """A text as one frame: four bytes of length before it."""
    data = text.encode()
    return len(data).to_bytes(_HEADER, "big") + data


def take_frame(received: bytearray) -> bytes | None:
    """The first whole frame's content, taken off; None while it isn't whole."""
    if len(received) < _HEADER:
        return None
    length = int.from_bytes(received[:_HEADER], "big")
    if len(received) < _HEADER + length:
        return None
    content = bytes(received[_HEADER : _HEADER + length])
    del received[: _HEADER + length]
    return content


def outcome_of(report: Mapping[str, Any], received: bytes, job: Job, limits: Limits, level: Level) -> Outcome:
    """The outcome of a job whose child has ended as ``report`` says, having written ``received``."""
    seconds = float(report.get("seconds", 0.0))

    def ended(status: Status, detail: str = "") -> Outcome:
        return Outcome(status=status, outputs=(), level=level, detail=detail, seconds=seconds)

    broken = cut_short(report, limits)
    if broken is not None:
        return ended(*broken)
    if len(received) > limits.output_bytes + ENVELOPE_BYTES:
        return ended("OUTPUT_LIMIT")
    answer = _answer(received)
    if answer is None:
        return ended("BAD_OUTPUT", "no answer")
    status, outputs, detail = answer
    if status != "PASS":
        return ended(status, detail)
    if len(outputs) != len(job.inputs):
        return ended("BAD_OUTPUT", "not one output per input")
    return Outcome(status="PASS", outputs=tuple(outputs), level=level, seconds=seconds)


def cut_short(report: Mapping[str, Any], limits: Limits) -> tuple[Status, str] | None:
    """Status and detail of a child that was ended from outside or by a signal; None of one that ended by itself."""
    if report["how"] == "late":
        return "TIMEOUT", _TIME
    return _signalled(report, limits) if report["how"] == "signal" else None


def _signalled(report: Mapping[str, Any], limits: Limits) -> tuple[Status, str]:
    number = int(report["code"])
    if number == signal.SIGXCPU or (number == signal.SIGKILL and report["cpu"] >= limits.cpu_seconds):
        return "TIMEOUT", _TIME
    known = number in {each.value for each in signal.Signals}
    return "SIGNAL", signal.Signals(number).name if known else f"signal {number}"


def _answer(received: bytes) -> tuple[Status, list[Any], str] | None:
    """Status, outputs and detail of a well-formed answer; None of any other."""
    if len(received) < _HEADER or int.from_bytes(received[:_HEADER], "big") != len(received) - _HEADER:
        return None
    return answer_of(received[_HEADER:])


def answer_of(content: bytes) -> tuple[Status, list[Any], str] | None:
    """Status, outputs and detail of a frame that is an answer; None of any other."""
    try:
        answer = _DECODER.decode(content.decode("utf-8"))
    except (ValueError, RecursionError):  # bad UTF-8, bad JSON, huge integers, duplicate keys; nesting without end
        return None
    if not isinstance(answer, dict) or answer.keys() != {"status", "detail", "outputs"}:
        return None
    status, outputs, detail = answer["status"], answer["outputs"], answer["detail"]
    if status not in _CLAIMS or not isinstance(outputs, list) or _too_deep(content, outputs):
        return None
    return status, outputs, detail if _is_name(detail) else ""


def _too_deep(content: bytes, outputs: list[Any]) -> bool:
    """Whether an output is nested more than `DEEPEST` times; most answers don't even have so many brackets."""
    return content.count(b"[") + content.count(b"{") > DEEPEST and not all(_within(output, DEEPEST) for output in outputs)


def _within(value: Any, levels: int) -> bool:
    if not isinstance(value, (list, dict)):
        return True
    return levels > 0 and all(_within(item, levels - 1) for item in (value.values() if isinstance(value, dict) else value))


def _is_name(detail: object) -> bool:
    """Whether it reads like the name of an exception: nothing else of a candidate's words gets on record."""
    return isinstance(detail, str) and len(detail) <= _LONGEST_NAME and detail.isascii() and detail.isidentifier()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is out of range")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse, parse_float=_finite)
