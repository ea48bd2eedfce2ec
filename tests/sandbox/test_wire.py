"""Bytes from a hostile process: only a well-formed answer of exact JSON is one, and none can claim what isn't its to say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.sandbox import Job, Limits, Outcome
from loopwright.sandbox.codec import DEEPEST
from loopwright.sandbox.wire import ENVELOPE_BYTES, outcome_of

JOB = Job(source="", entry="f", inputs=(1,))
LIMITS = Limits(output_bytes=1024)
ENDED = {"how": "exit", "code": 0, "cpu": 0.01}
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def frame(text: bytes | str) -> bytes:
    data = text if isinstance(text, bytes) else text.encode()
    return len(data).to_bytes(4, "big") + data


def read(received: bytes, **report: Any) -> Outcome:
    return outcome_of({**ENDED, **report}, received, JOB, LIMITS, "SL1")


def said(outputs: str = "[1]", status: str = "PASS", detail: str = "") -> bytes:
    return frame(f'{{"status":"{status}","detail":"{detail}","outputs":{outputs}}}')


@given(plain)
def test_plain_values_arrive_as_they_are(value: Any) -> None:
    outcome = read(said(json.dumps([value])))
    assert outcome.outputs == (value,)
    assert type(outcome.outputs[0]) is type(value)


@given(st.binary(max_size=300))
def test_noise_is_no_answer(noise: bytes) -> None:
    assert read(noise).status in {"BAD_OUTPUT", "OUTPUT_LIMIT"}
    assert read(frame(noise)).status in {"BAD_OUTPUT", "OUTPUT_LIMIT"}


@pytest.mark.parametrize(
    "received",
    [
        b"",
        b"\0\0",
        b"\xff\xff\xff\xff[]",
        said()[:-1],
        said() + said(),
        said() + b" ",
        frame(said()[4:] + b"{}"),
        frame("[" * 100_000)[:1500],
        frame(b'{"status":"PASS","detail":"","outputs":[' + b"[" * 900 + b"]" * 900 + b"1]}"),
        frame(b"\xff\xfe"),
        said("[NaN]"),
        said("[Infinity]"),
        said("[1e999]"),
        said("1"),
        said('{"0":1}'),
        said("[1,2]"),
        said("[]"),
        said('[{"a":1,"a":2}]'),
        frame('{"status":"FAIL","status":"PASS","detail":"","outputs":[1]}'),
        frame('{"status":"PASS","outputs":[1]}'),
        frame('{"status":"PASS","detail":"","outputs":[1],"level":"SL4"}'),
        frame('{"status":["PASS"],"detail":"","outputs":[1]}'),
        frame("[]"),
        frame("null"),
        *(said(status=status) for status in ("INFRA", "TIMEOUT", "SIGNAL", "pass", "")),
    ],
)
def test_what_is_no_answer(received: bytes) -> None:
    outcome = read(received)
    assert outcome.status in {"BAD_OUTPUT", "OUTPUT_LIMIT"}
    assert outcome.outputs == ()


def test_nesting_without_end() -> None:
    deep = outcome_of(ENDED, said("[" * 50_000 + "]" * 50_000), JOB, Limits(), "SL1")
    assert deep.status == "BAD_OUTPUT"


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting_has_a_limit_that_readers_can_bear(opening: str, closing: str) -> None:
    def nested(levels: int) -> str:
        return read(said(f"[{opening * levels}1{closing * levels}]")).status

    assert nested(DEEPEST) == "PASS"
    assert nested(DEEPEST + 1) == "BAD_OUTPUT"


def test_many_brackets_are_no_nesting() -> None:
    wide = Limits(output_bytes=2**18)
    assert outcome_of(ENDED, said(json.dumps([[[place] for place in range(10_000)]])), JOB, wide, "SL1").status == "PASS"


def test_numbers_too_long_to_be_read() -> None:
    huge = outcome_of(ENDED, said(f"[{'9' * 5000}]"), JOB, Limits(), "SL1")
    assert huge.status == "BAD_OUTPUT"


def test_the_cap_is_on_what_was_received() -> None:
    text = "a" * (LIMITS.output_bytes + ENVELOPE_BYTES)
    assert read(said(json.dumps([text]))).status == "OUTPUT_LIMIT"


@pytest.mark.parametrize(
    ("report", "status", "detail"),
    [
        ({"how": "late", "code": 9}, "TIMEOUT", "time is up"),
        ({"how": "signal", "code": 24}, "TIMEOUT", "time is up"),
        ({"how": "signal", "code": 9, "cpu": 2.01}, "TIMEOUT", "time is up"),
        ({"how": "signal", "code": 9}, "SIGNAL", "SIGKILL"),
        ({"how": "signal", "code": 11}, "SIGNAL", "SIGSEGV"),
        ({"how": "signal", "code": 40}, "SIGNAL", "signal 40"),
    ],
)
def test_how_it_ended_outweighs_what_it_said(report: dict[str, Any], status: str, detail: str) -> None:
    outcome = read(said(), **report)
    assert (outcome.status, outcome.detail, outcome.outputs) == (status, detail, ())


@pytest.mark.parametrize(
    ("detail", "kept"),
    [("ValueError", "ValueError"), ("at 0x7f3a", ""), ("a b", ""), ("A" * 65, ""), ("naïve", ""), ("\\n", ""), ("", "")],
)
def test_nothing_but_a_name_gets_on_record(detail: str, kept: str) -> None:
    outcome = read(said("[]", "FAIL", detail))
    assert (outcome.status, outcome.detail) == ("FAIL", kept)
