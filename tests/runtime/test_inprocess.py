"""The executor without Ray, and what both executors promise alike."""

from __future__ import annotations

import functools
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.attempt import in_words
from loopwright.errors import InfraError, RefusedError, TrainingDiverged, UsageError
from loopwright.runtime.inprocess import InProcessExecutor
from loopwright.runtime.jobs import pack, perform_packed, plain, storage_of, unpack
from tests.runtime import work


@pytest.fixture
def executor() -> InProcessExecutor:
    return InProcessExecutor()


def job(tmp_path: Path, **more: Any) -> dict[str, Any]:
    return {"key": "k", "storage": str(tmp_path), "seed": 1, "steps": 6, **more}


def test_map_keeps_the_order_and_tells_progress(executor):
    told: list[tuple[int, int, str]] = []
    assert executor.map(work.draw, [3, 1, 2], lambda *seen: told.append(seen), "tasks") == [work.draw(n) for n in (3, 1, 2)]
    assert told == [(1, 3, "tasks"), (2, 3, "tasks"), (3, 3, "tasks")]
    assert executor.map(functools.partial(work.multiply, 3), [1, 2]) == [3, 6]
    assert executor.map(work.draw, []) == []


def test_map_refuses_what_a_cluster_could_not_import(executor):
    with pytest.raises(UsageError, match="top level of a module"):
        executor.map(lambda item: item, [1])


def test_our_errors_pass_as_they_are_and_others_become_infra_errors(executor):
    with pytest.raises(RefusedError, match="3 is odd") as refused:
        executor.map(work.refuse_odd, [2, 3])
    assert "refuse_odd" in refused.value.__notes__[0]
    with pytest.raises(InfraError, match=r"work.divide failed: ZeroDivisionError") as failed:
        executor.map(work.divide, [0])
    assert isinstance(failed.value.__cause__, ZeroDivisionError)


def test_memory_that_torch_could_not_get_is_told_as_such(executor):
    with pytest.raises(InfraError, match="too_much failed") as failed:
        executor.map(work.too_much, [1])
    said = in_words("train", failed.value)
    assert said.message.startswith("out of memory in the train phase: ")
    assert "goes on from what is done" in said.next_step
    assert in_words("train", TrainingDiverged("NaN")).message == "NaN"


def test_training_reports_resumes_and_returns_plain_json(executor, tmp_path):
    told: list[tuple[int, int, str]] = []
    whole = executor.train(work.count, job(tmp_path), lambda *seen: told.append(seen))
    assert told == [(step, 6, "steps") for step in range(1, 7)]
    assert whole["pair"] == [1, "cpu"]  # a tuple would not survive the way to a cluster either
    with pytest.raises(TrainingDiverged, match="step 3"):
        executor.train(work.count, job(tmp_path, key="d", how="diverge", at=5))
    again = executor.train(work.count, job(tmp_path, key="d"))
    assert again["resumed"] == 4
    assert again["total"] == whole["total"]


def test_a_job_starts_without_what_a_killed_one_left_half_written(executor, tmp_path):
    half = tmp_path / "k" / "step_00000099"
    half.mkdir(parents=True)
    executor.train(work.count, job(tmp_path))
    assert not half.exists()


@pytest.mark.parametrize("keep", [1, 3])
def test_as_many_checkpoints_stay_as_the_job_says(executor, tmp_path, keep):
    executor.train(work.count, job(tmp_path, keep=keep))
    assert sorted(path.name for path in (tmp_path / "k").iterdir()) == [f"step_{step:08d}" for step in (2, 4, 6)][-keep:]


def test_jobs_and_results_must_be_plain_json(executor, tmp_path):
    with pytest.raises(InfraError, match="not plain JSON"):
        executor.train(work.nonsense, job(tmp_path))
    with pytest.raises(InfraError, match="not plain JSON"):
        executor.train(work.whoami, job(tmp_path, extra={1, 2}))


@pytest.mark.parametrize(("key", "storage"), [("../k", "/tmp/x"), ("a/b", "/tmp/x"), ("", "/tmp/x"), ("k", "relative")])
def test_a_job_stays_in_its_storage(key, storage):
    with pytest.raises(ValueError, match="absolute storage"):
        storage_of({"key": key, "storage": storage})


@given(st.integers())
def test_a_packed_call_gives_the_same_result_or_error(item):
    fine, outcome = perform_packed(pickle.dumps(work.refuse_odd), pack(item))
    assert fine == (item % 2 == 0)
    if fine:
        assert unpack(outcome) == item
    else:
        with pytest.raises(RefusedError) as refused:
            unpack(outcome)
        assert refused.value.next_step == "use an even one"


def test_a_result_that_cannot_travel_is_an_infra_error():
    fine, outcome = perform_packed(pickle.dumps(work.unpicklable), pack(1))
    assert not fine
    with pytest.raises(InfraError, match="pickle|Can't get local object"):
        unpack(outcome)


def test_plain_keeps_what_json_can_say():
    assert plain({"a": [1, 2.5, None, True]}) == {"a": [1, 2.5, None, True]}


def test_describe_is_plain_json(executor):
    assert plain(dict(executor.describe())) == executor.describe()
    executor.warm()
    executor.close()
