"""A model elsewhere is asked: what comes back, what it costs, what is kept, and what a server may do instead of answering."""

from __future__ import annotations

import gc
import json
import os
import socket
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from loopwright.endpoint import Desk, Question, answers, spent
from loopwright.endpoint.secret import key_path
from loopwright.errors import InfraError, IntegrityError, LoopwrightError, PhaseError, PlanError
from loopwright.external import Endpoint, Price
from loopwright.prompts import fill
from tests.endpoint.proxy import Proxy

Made = Callable[..., Endpoint]
Asked = Callable[..., list[Question]]
PRICE = Price(input=1000.0, output=3000.0, currency="EUR")


def test_answers_come_in_order_are_kept_and_never_paid_for_twice(
    endpoint: Made, questions: Asked, desk: Desk, proxy: Proxy
) -> None:
    asked = [*questions(6), *questions(2)]
    seen: list[tuple[int, int, str]] = []
    found = answers(endpoint(price=PRICE), asked, desk, lambda *step: seen.append(step))
    assert len(proxy.asked) == 6, "equal questions are one"
    assert found[6:] == found[:2]
    assert len({answer.text for answer in found[:6]}) > 3, "each question has its own answer"
    assert seen[-1] == (6, 6, "answers")
    cost = spent(desk.scratch)["cost"]
    used = [answer.tokens_in for answer in found[:6]], [answer.tokens_out for answer in found[:6]]
    assert (cost["requests"], cost["retries"], cost["cached"]) == (6, 0, 0)
    assert (cost["tokens_in"], cost["tokens_out"]) == (sum(used[0]), sum(used[1]))
    assert cost["money"] == {"EUR": pytest.approx(sum(used[0]) / 1000 + sum(used[1]) * 3 / 1000)}
    assert answers(endpoint(retries=0, concurrency=1), asked[::-1], desk) == found[::-1], "how it's asked changes no question"
    assert answers(endpoint(), asked, replace(desk, offline=True)) == found
    assert len(proxy.asked) == 6
    assert spent(desk.scratch)["cost"]["cached"] == 8
    with pytest.raises(InfraError, match="1 of 7 answers of tiny-llama are not kept"):
        answers(endpoint(), questions(7), replace(desk, offline=True))
    for changed in ({"model": "other"}, {"url": proxy.url + "/"[:0] + "x"}, {"seeded": False}):
        with pytest.raises(InfraError, match="not kept"):
            answers(endpoint(**changed), asked[:1], replace(desk, offline=True))


def test_the_same_question_has_the_same_answer_whoever_asks(
    endpoint: Made, questions: Asked, desk: Desk, tmp_path: Path
) -> None:
    elsewhere = replace(desk, root=tmp_path / "other")
    assert answers(endpoint(concurrency=4), questions(8), desk) == answers(endpoint(concurrency=1), questions(8), elsewhere)


def test_what_may_go_better_is_asked_again_and_counted(endpoint: Made, questions: Asked, desk: Desk, proxy: Proxy) -> None:
    faults = ["busy", "broken", "gone", "half", "cut", "slow", "drip"]
    proxy.faults = [one for fault in faults for one in (fault, "")]
    found = answers(endpoint(retries=1, concurrency=1, timeout_seconds=1.0), questions(7), desk)
    cost = spent(desk.scratch)["cost"]
    assert (cost["requests"], cost["retries"]) == (14, 7)
    assert found == answers(endpoint(), questions(7), replace(desk, root=desk.root / "fresh"))
    assert proxy.times[1] - proxy.times[0] >= 0.3, "the server asked for it"


def test_what_was_answered_before_a_failure_is_kept(endpoint: Made, questions: Asked, desk: Desk, proxy: Proxy) -> None:
    proxy.faults = ["", "", "broken", "broken", "broken"]
    with pytest.raises(InfraError, match="no answer in 3 tries: status 503"):
        answers(endpoint(concurrency=1), questions(4), desk)
    assert proxy.answered == 2
    answers(endpoint(), questions(4), desk)
    assert proxy.answered == 4


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        ('model="gpt-5"', IntegrityError, "asked for the model 'tiny-llama' and answers as 'gpt-5'"),
        ("model=null", IntegrityError, "answers as 'None'"),
        ("elsewhere", PhaseError, "sends its callers on to 'http://localhost"),
        ("huge", InfraError, "more than 100000 bytes"),
        ("packed", InfraError, "answers compressed"),
        ("usage=null", PhaseError, "how many tokens"),
        ('usage={"prompt_tokens": -1, "completion_tokens": true}', PhaseError, "how many tokens"),
        ("choices=[]", InfraError, "no choice with a message"),
        ('choices=[{"message": {"content": ["a"]}}]', InfraError, "no text"),
    ],
)
def test_what_cannot_be_used_ends_the_phase_and_says_why(
    endpoint: Made, questions: Asked, desk: Desk, proxy: Proxy, fault: str, error: type[LoopwrightError], said: str
) -> None:
    proxy.always = fault
    strict = endpoint(price=PRICE, max_bytes=100_000, retries=0)
    with pytest.raises(error) as caught:
        answers(strict, questions(1), desk)
    assert type(caught.value) is error
    assert said in caught.value.message
    assert caught.value.next_step
    assert len(proxy.asked) == 1, "nothing followed a redirect"
    assert spent(desk.scratch)["cost"]["requests"] == 1
    assert not list(desk.root.rglob("*.json")), "nothing of it is kept"


def test_a_declared_alias_is_the_same_model(endpoint: Made, questions: Asked, desk: Desk, proxy: Proxy) -> None:
    proxy.always = 'model="tiny-llama-2026"'
    [answer] = answers(endpoint(aliases=("tiny-llama-2026",)), questions(1), desk)
    assert answer.model == "tiny-llama-2026"


def test_hostile_text_stays_text(endpoint: Made, questions: Asked, desk: Desk, proxy: Proxy) -> None:
    proxy.always = 'choices=[{"message": {"content": "\\ud800 {prompt} \\u0000 <b>"}}]'
    for _ in range(2):  # asked, and kept
        [answer] = answers(endpoint(), questions(1), desk)
        assert answer.text == "\ufffd {prompt} \x00 <b>"
    assert fill("a {task} b {answer} {c}", {"task": "{answer}", "answer": "{task}"}) == "a {answer} b {task} {c}"


def test_no_more_at_once_no_more_a_minute_and_no_more_money_than_the_plan_says(
    endpoint: Made, questions: Asked, desk: Desk, proxy: Proxy
) -> None:
    answers(endpoint(concurrency=3), questions(12), desk)
    assert proxy.most in {2, 3}
    proxy.times.clear()
    answers(endpoint(requests_per_minute=600.0, concurrency=8), questions(5, max_tokens=3), desk)
    assert proxy.times[-1] - proxy.times[0] >= 0.38, "four distances of a tenth of a second"
    before = proxy.answered
    with pytest.raises(PhaseError, match=r"are spent of the 0.03"):
        answers(endpoint(price=PRICE, max_money=0.03, concurrency=1), questions(20, max_tokens=5), desk)
    assert 2 <= proxy.answered - before <= 4, "an answer costs about a hundredth"


def test_the_key_is_in_its_file_and_in_the_request_and_nowhere_else(
    endpoint: Made, questions: Asked, desk: Desk, proxy: Proxy, tmp_path: Path
) -> None:
    secret = "sk-very-secret-0123456789"
    file = key_path("endpoint-test.key")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(secret + "\n")
    file.chmod(0o600)
    keyed = endpoint(key_file="endpoint-test.key")
    answers(keyed, questions(2), desk)
    assert {headers["authorization"] for headers in proxy.headers} == {f"Bearer {secret}"}
    proxy.always = "refused"
    with pytest.raises(PhaseError, match="status 401, 'no: Bearer KEY'") as caught:
        answers(keyed, questions(3), desk)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    shown = [str(caught.value), repr(os.environ), keyed.model_dump_json(), Path("/proc/self/cmdline").read_text()]
    assert secret.encode() not in written
    assert not [text for text in shown if secret in text]
    assert stat.S_IMODE((desk.root / ".loopwright/answers").stat().st_mode) == 0o700
    count = len(proxy.asked)
    for spoil in (lambda: file.chmod(0o640), lambda: file.chmod(0o604), lambda: file.write_text(""), file.unlink):
        spoil()
        with pytest.raises(PlanError, match="key_file"):
            answers(keyed, questions(4), desk)
    inside = desk.root / "key"
    inside.write_text(secret)
    inside.chmod(0o600)
    (tmp_path / "link").symlink_to(inside)
    for name in (str(inside), str(tmp_path / "link")):
        with pytest.raises(PlanError, match="key_file"):
            answers(endpoint(key_file=name), questions(4), desk)
    assert len(proxy.asked) == count, "nobody was asked without it"


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://a/v1"}, {"url": "http://user:pw@a/v1"}, {"url": "http://a/v1?key=1"}, {"model": "a b"}, {"concurrency": 0},
        {"max_money": 1.0}, {"url": "http://models.example/v1", "key_file": "k"}, {"key": "sk-1"}, {"retries": "3"},
        {"price": {"input": -1.0, "output": 1.0, "currency": "EUR"}}, {"price": {"input": 1.0, "output": 1.0, "currency": "euro"}},
    ],
)  # fmt: skip
def test_a_plan_that_cannot_be_meant_is_refused(endpoint: Made, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"Endpoint|Price"):
        endpoint(**wrong)


def test_an_interrupt_ends_the_wait_and_leaves_no_thread_that_asks(
    endpoint: Made, questions: Asked, desk: Desk, proxy: Proxy
) -> None:
    proxy.always = "slow"

    def interrupt(done: int, total: int, unit: str) -> None:
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        answers(endpoint(), questions(40), desk, interrupt)
    assert time.monotonic() - started < 8.0  # all forty take fifteen
    time.sleep(2.0)
    assert len(proxy.asked) <= 5
    kept = len(list((desk.root / ".loopwright/answers").rglob("*.json")))
    lines = (desk.scratch / "spent.jsonl").read_text().splitlines()
    assert kept == sum(json.loads(line).get("tokens_in", 0) > 0 for line in lines), "what was paid for is kept"


def test_a_failure_leaves_no_connection_open(endpoint: Made, questions: Asked, desk: Desk, proxy: Proxy) -> None:
    """Not even one that a thread was opening while another failed."""
    proxy.always = "broken"
    server = ("127.0.0.1", urlsplit(proxy.url).port)
    for _ in range(10):
        with pytest.raises(InfraError):
            answers(endpoint(retries=0, concurrency=8), questions(8), desk)
        while asking := [thread for thread in threading.enumerate() if thread.name.startswith("endpoint-")]:
            asking[0].join(30)
    sockets = [one for one in gc.get_objects() if type(one) is socket.socket and one.fileno() >= 0]
    assert not [one for one in sockets if _peer(one) == server]


def _peer(one: socket.socket) -> object:
    try:
        return one.getpeername()
    except OSError:
        return None  # it listens, or is connected to nobody
