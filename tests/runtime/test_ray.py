"""The executor on a real Ray: same results as in process, one fit for many jobs, and no damage from workers that die."""

from __future__ import annotations

import functools
import itertools
import json
import os
import shutil
import stat
import time
from pathlib import Path

import psutil
import pytest

from loopwright.errors import InfraError, PlanError, RefusedError, TrainingDiverged, UsageError
from loopwright.runtime.inprocess import InProcessExecutor
from tests.runtime import work

pytestmark = pytest.mark.ray
numbers = itertools.count()


@pytest.fixture
def job(scratch):
    """A new job at each call, in a storage of its own."""

    def make(**more):
        storage = scratch / "jobs" / f"phase-{next(numbers)}"
        return {"key": "train", "storage": str(storage), "seed": 7, "steps": 6, **more}

    return make


def test_map_gives_what_the_process_itself_gives_in_order(executor):
    told = []
    items = list(range(20))
    assert executor.map(work.draw, items, lambda *seen: told.append(seen), "tasks") == InProcessExecutor().map(work.draw, items)
    assert told == [(done, 20, "tasks") for done in range(1, 21)]
    assert executor.map(functools.partial(work.multiply, 3), [1, 2]) == [3, 6]
    assert executor.map(work.draw, []) == []


def test_worker_processes_and_what_they_cache_stay(executor):
    first = set(executor.map(work.who, range(6)))
    time.sleep(3)  # Ray would end idle workers after one second
    second = set(executor.map(work.who, range(6)))
    assert len(first | second) == 2
    assert os.getpid() not in {pid for pid, _ in first}


def test_map_errors_arrive_as_they_are_and_leave_the_workers_usable(executor):
    with pytest.raises(RefusedError, match="3 is odd") as refused:
        executor.map(work.refuse_odd, [2, 3, 4])
    assert "refuse_odd" in refused.value.__notes__[0]
    with pytest.raises(InfraError, match="work.divide failed: ZeroDivisionError"):
        executor.map(work.divide, [1, 0])
    with pytest.raises(UsageError, match="top level"):
        executor.map(lambda item: item, [1])
    assert executor.map(work.draw, [1]) == [work.draw(1)]


def test_an_item_that_kills_its_worker_is_an_infra_error(executor):
    with pytest.raises(InfraError, match="Ray failed: WorkerCrashedError"):
        executor.map(work.die, [1])
    assert executor.map(work.draw, [1]) == [work.draw(1)]


def test_workers_see_no_secret_and_the_token_is_ours_alone(executor, scratch):
    seen = executor.map(work.look, ["x"])[0]
    assert seen["environment"]["LOOPWRIGHT_TEST_WANTED"] == "passed on"
    assert "LOOPWRIGHT_TEST_SECRET_TOKEN" not in seen["environment"]
    assert "DVC_NO_ANALYTICS" not in seen["environment"]  # any other variable of the driver
    assert seen["environment"]["OMP_NUM_THREADS"] == "1"
    assert seen["mode"] == "0o600"
    assert Path(seen["token"]).is_relative_to(scratch)
    assert not (Path.home() / ".ray").exists()
    host = psutil.Process().children()[0]
    assert "LOOPWRIGHT_TEST_SECRET_TOKEN" not in host.environ()


def test_training_gives_what_the_process_itself_gives_and_keeps_one_worker(executor, job, tmp_path):
    told = []
    here = InProcessExecutor().train(work.count, {**job(), "storage": str(tmp_path)})
    first = executor.train(work.count, job(pause=0.1), lambda *seen: told.append(seen))
    assert first == here
    assert told[-1] == (6, 6, "steps")
    assert [step for step, _, _ in told] == sorted({step for step, _, _ in told})
    assert len(told) > 1
    processes = {executor.train(work.whoami, job())["pid"] for _ in range(3)}
    assert len(processes) == 1


def test_a_group_that_waits_takes_no_slot_from_work_items(executor, job):
    executor.train(work.whoami, job())
    spans = executor.map(work.pause, [0.5] * 6)
    assert any(one[0] < other[0] < one[1] for one in spans for other in spans), "one after the other, on two slots"


def test_a_second_job_starts_at_once(executor, job):
    executor.train(work.whoami, job())
    start = time.monotonic()
    executor.train(work.whoami, job())
    assert time.monotonic() - start < 12  # a fit of its own takes fifteen at least, on an idle machine


def test_a_job_arrives_as_it_was_sent_and_finds_its_own_checkpoints_only(executor, job):
    one, two = job(), job()
    executor.train(work.count, one)
    seen = executor.train(work.whoami, one)
    assert seen["job"] == one
    assert seen["latest"] == f"{one['storage']}/train/step_00000006"
    assert executor.train(work.whoami, two)["latest"] == "None"


def test_divergence_arrives_as_itself_and_a_rerun_resumes(executor, job):
    broken = job(how="diverge", at=5)
    with pytest.raises(TrainingDiverged, match="NaN at step 3") as diverged:
        executor.train(work.count, broken)
    assert diverged.value.next_step == "lower the learning rate"
    assert diverged.value.exit_code == 1
    whole = executor.train(work.count, job())
    rerun = executor.train(work.count, {**broken, "how": "mended"})
    assert rerun["resumed"] == 4
    assert rerun["total"] == whole["total"]


def test_a_bug_is_an_infra_error_with_its_text(executor, job):
    with pytest.raises(InfraError, match="work.count failed: KeyError: 'no such column'"):
        executor.train(work.count, job(how="bug", at=3))
    with pytest.raises(InfraError, match="not plain JSON"):
        executor.train(work.nonsense, job())


def test_a_worker_that_dies_is_replaced_and_its_job_goes_on(executor, job):
    undisturbed = executor.train(work.count, job())
    finished = job()
    executor.train(work.count, finished)
    shutil.rmtree(finished["storage"])  # a recorded phase leaves no scratch, and Ray must not miss it
    crashing = job(how="die once", at=5)
    assert executor.train(work.count, crashing) == {**undisturbed, "resumed": 4}
    assert (Path(crashing["storage"]) / "train" / "died").exists()


def test_a_job_that_kills_every_worker_fails_and_the_next_one_runs(executor, job):
    with pytest.raises(
        InfraError, match="failed 2 times in a row; the last time: its process ended: .*Worker exit detail"
    ) as lost:
        executor.train(work.count, job(how="die always", at=1))
    assert "last words of a worker" in "".join(lost.value.__notes__)
    assert executor.train(work.count, job())["total"]


def test_storage_outside_of_scratch_is_refused(executor, job, tmp_path):
    with pytest.raises(ValueError, match="storage lies below"):
        executor.train(work.count, job(storage=str(tmp_path)))


def test_nothing_reaches_the_terminal(executor, job, capfd):
    executor.map(work.draw, [1, 2])
    with pytest.raises(InfraError):
        executor.train(work.count, job(how="bug", at=1))
    assert capfd.readouterr() == ("", "")


def test_what_a_statement_says_of_the_place(executor):
    executor.map(work.draw, [1])
    facts = executor.describe()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["executor"] == executor.name == "ray"
    assert facts["map_workers"] == 2
    assert facts["train_workers"] == 1
    assert facts["cluster"] == "private"


def test_ray_keeps_to_its_own_directories(executor, scratch):
    """Checkpoints lie with their jobs; Ray's own files lie in a directory that only we can read, which `close` removes."""
    executor.map(work.draw, [1])
    record = json.loads(next(scratch.glob("ray-*/host.json")).read_text())
    temporary = Path(record["temporary"])
    assert stat.S_IMODE(temporary.stat().st_mode) == 0o700
    assert (temporary / "r" / "session_latest" / "sockets").is_dir()


def test_a_missing_ray_says_what_to_do(monkeypatch, profile, tmp_path):
    from loopwright.errors import PluginError
    from loopwright.runtime import ray as module

    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PluginError, match="Ray is not installed") as missing:
        module.RayExecutor(profile, tmp_path)
    assert "pip install" in missing.value.next_step
    assert not isinstance(missing.value, PlanError)


def test_an_environment_with_both_lightnings_is_refused(monkeypatch, profile, tmp_path):
    (tmp_path / "lightning").mkdir()
    (tmp_path / "lightning" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    from loopwright.runtime.ray import RayExecutor

    with pytest.raises(UsageError, match="both `lightning` and `pytorch_lightning`") as refused:
        RayExecutor(profile, tmp_path)
    assert refused.value.next_step == "pip uninstall lightning"
