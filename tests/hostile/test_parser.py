"""Whatever bytes a candidate writes on its channel, they never make a verdict, and the next jobs get theirs (T13)."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loopwright.sandbox import Job, Sandbox, judge
from tests.hostile.cases import CHECK, GOOD, WRONG

WRITER = (
    "import os\ndef f(x):\n rest = bytes.fromhex({data!r})\n while rest: rest = rest[os.write(3, rest):]\n os._exit({code})\n"
)
RIGHT = {"status": "PASS", "detail": "", "outputs": list(CHECK.outputs)}
WRONG_OUTPUTS = {**RIGHT, "outputs": [*CHECK.outputs[:-1], 0]}


def framed(text: bytes, length: int | None = None) -> bytes:
    return (len(text) if length is None else length % 2**32).to_bytes(4, "big") + text


texts = st.sampled_from([json.dumps(WRONG_OUTPUTS).encode(), json.dumps(RIGHT).encode()])


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """A right answer, spoilt so that it is none: cut, doubled, with a wrong length, or with a byte that JSON cannot bear."""
    text = draw(texts)
    how = draw(st.sampled_from(["cut", "double", "length", "byte", "tail"]))
    if how == "cut":
        return framed(text)[: draw(st.integers(0, len(text) + 3))]
    if how == "double":
        return framed(text) * 2
    if how == "length":
        return framed(text, len(text) + draw(st.integers(1, 2**31)))
    if how == "byte":
        place = draw(st.integers(0, len(text)))
        return framed(text[:place] + draw(st.sampled_from([b"\0", b"\xff", b"\xed\xa0\x80"])) + text[place:])
    return framed(text) + draw(st.binary(min_size=1, max_size=8))


noise = st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(framed), spoiled())


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.lists(noise, min_size=12, max_size=12), code=st.integers(0, 3))
def test_no_bytes_make_a_verdict(jail: Sandbox, data: list[bytes], code: int) -> None:
    sources = [WRITER.format(data=each.hex(), code=code) for each in data] + [GOOD, WRONG]
    outcomes = jail.run([Job(source=source, entry="f", inputs=CHECK.inputs) for source in sources])
    verdicts = [judge(outcome, [("fuzz", CHECK)]).status for outcome in outcomes]
    assert verdicts[-2:] == ["PASS", "FAIL"]
    assert not {"PASS", "INFRA"} & set(verdicts[:-2])


def test_the_fuzz_has_teeth(jail: Sandbox) -> None:
    """Unspoilt, the same bytes are an answer like any other: what it says is compared outside."""
    jobs = [
        Job(source=WRITER.format(data=framed(json.dumps(each).encode()).hex(), code=0), entry="f", inputs=CHECK.inputs)
        for each in (RIGHT, WRONG_OUTPUTS)
    ]
    assert [judge(outcome, [("fuzz", CHECK)]).status for outcome in jail.run(jobs)] == ["PASS", "FAIL"]
