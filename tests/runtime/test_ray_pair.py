"""Two ranks: torch's process group, checkpoints that all ranks agree on, and failures of one rank alone."""

from __future__ import annotations

import itertools
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from loopwright.errors import InfraError, TrainingDiverged
from tests.runtime import work

pytestmark = pytest.mark.ray
numbers = itertools.count()


@pytest.fixture
def job(pair):
    def make(**more):
        storage = pair._scratch / "jobs" / f"phase-{next(numbers)}"
        return {"key": "train", "storage": str(storage), "seed": 7, "steps": 6, **more}

    return make


def test_gradients_are_averaged_over_the_ranks(pair, job):
    assert pair.train(work.allreduce, job()) == {"gradient": 1.5, "sum": 3.0, "world": 2}


def test_both_ranks_resume_from_the_same_checkpoint(pair, job):
    whole = pair.train(work.count, job())
    assert whole["pair"] == [2, "cpu"]
    crashing = job(how="die once", at=5, rank=1)
    assert pair.train(work.count, crashing) == {**whole, "resumed": 4}


def test_an_error_of_one_rank_frees_the_other_and_arrives_as_itself(pair, job):
    with pytest.raises(TrainingDiverged, match="rank 1 saw NaN"):
        pair.train(work.wait_in_collective, job())
    assert pair.train(work.allreduce, job())["world"] == 2


def test_a_bug_on_several_ranks_is_tried_again_and_then_told(pair, job):
    with pytest.raises(InfraError, match="2 times in a row; the last time: .*KeyError: 'no such column'"):
        pair.train(work.count, job(how="bug", at=1, rank=1))


def test_ray_answers_nobody_without_the_token(pair):
    pair.map(work.draw, [1])
    seen = pair.map(work.look, ["x"])[0]
    token = Path(seen["token"]).read_text()
    ports = {
        connection.laddr.port
        for process in psutil.Process().children(recursive=True)
        if "dashboard.py" in " ".join(process.cmdline())
        for connection in process.net_connections("tcp")
        if connection.status == "LISTEN" and connection.laddr.ip == "127.0.0.1"
    }
    answers = {port: [ask(port, secret) for secret in (None, "guess", token)] for port in ports}
    assert [401, 403, 200] in answers.values() or [401, 401, 200] in answers.values(), answers


def ask(port: int, token: str | None) -> int | None:
    """The status with which Ray's Jobs API answers; None: no web server there."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/jobs/")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None
