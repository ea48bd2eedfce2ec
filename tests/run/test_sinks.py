"""Figures go to trackers that exist: their own libraries where those are installed, stand-ins of the same shape everywhere.

`mlflow-skinny` and `wandb` are extras and no part of the development environment: with either installed its tests are there, too.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from loopwright.cli.sinks import TAG, flatten, open_sinks
from loopwright.errors import PluginError
from loopwright.plan import Metrics
from tests.report.recorded import summary

FACTS = {"summary": summary("evaluate", 1)}


@dataclass(frozen=True)
class Loop:
    """What a sink needs of a workspace."""

    root: Path
    metrics: Metrics

    @property
    def private(self) -> Path:
        return self.root / ".loopwright"

    def plan(self) -> Any:
        return SimpleNamespace(metrics=self.metrics)

    def state(self) -> Any:
        return SimpleNamespace(workspace="w-5f2c9a10")


def loop(root: Path, **metrics: Any) -> Any:
    return Loop(root, Metrics(tensorboard=False, **metrics))


@dataclass
class Mlflow:
    """The five calls, with what the real ones refuse."""

    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    active: str = ""
    dead: bool = False

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        module = ModuleType("mlflow")
        for name in ("set_tracking_uri", "search_runs", "start_run", "log_metrics", "end_run"):
            setattr(module, name, getattr(self, name))
        monkeypatch.setitem(sys.modules, "mlflow", module)

    def set_tracking_uri(self, uri: str) -> None:
        if not uri.startswith(("sqlite:", "http")):
            raise RuntimeError(f"{uri} is in maintenance mode\nand much more is said about it")

    def search_runs(self, *, filter_string: str, max_results: int, output_format: str) -> list[Any]:
        found = re.fullmatch(r"tags\.`([^`]+)` = '([0-9a-zA-Z-]+)'", filter_string)
        assert found
        assert output_format == "list"
        mine = [name for name, run in self.runs.items() if run["tags"].get(found[1]) == found[2]]
        return [SimpleNamespace(info=SimpleNamespace(run_id=name)) for name in mine[:max_results]]

    def start_run(self, run_id: str | None, *, run_name: str, tags: dict[str, str]) -> None:
        self.active = run_id or f"run-{len(self.runs)}"
        self.runs.setdefault(self.active, {"tags": tags, "metrics": {}, "name": run_name})

    def log_metrics(self, figures: dict[str, float], *, step: int) -> None:
        if self.dead:
            raise ConnectionError("nobody there")
        for name, value in figures.items():
            assert re.fullmatch(r"[\w\-. /]+", name), f"MLflow refuses the name {name}"
            assert isinstance(value, float)
            self.runs[self.active]["metrics"].setdefault(name, []).append((step, value))

    def end_run(self, status: str) -> None:
        self.runs[self.active]["status"] = status


def test_mlflow_gets_each_phase_in_one_run_a_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = Mlflow()
    tracker.install(monkeypatch)
    for number in (1, 2):  # the second time the loop goes on
        with open_sinks(loop(tmp_path, mlflow="sqlite:////tmp/x.db")) as (sink,):
            sink.event(f"c000{number}", "evaluate", "started", FACTS)
            sink.event(f"c000{number}", "evaluate", "recorded", {"summary": {**FACTS["summary"], "odd": {"operation=add": 1}}})
    (run,) = tracker.runs.values()
    assert run["tags"] == {TAG: "w-5f2c9a10"}
    assert run["status"] == "FINISHED"
    headline = FACTS["summary"]["gate"]["headline"]["value"]
    assert run["metrics"]["evaluate/gate/headline/value"] == [(1, headline), (2, headline)]
    assert "evaluate/odd/operation_add" in run["metrics"]


def test_a_tracker_that_dies_fails_no_run_and_is_asked_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker = Mlflow()
    tracker.install(monkeypatch)
    with open_sinks(loop(tmp_path, mlflow="http://localhost:1")) as (sink,):
        sink.event("c0001", "train", "recorded", FACTS)
        tracker.dead = True
        sink.event("c0001", "evaluate", "recorded", FACTS)
        tracker.dead = False
        sink.event("c0001", "decide", "recorded", FACTS)
    (run,) = tracker.runs.values()
    assert {name.partition("/")[0] for name in run["metrics"]} == {"train"}
    assert capsys.readouterr().err == "MLflow has no figures from c0001 evaluate on: nobody there\n"


def test_a_run_that_fails_is_a_failed_run_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = Mlflow()
    tracker.install(monkeypatch)
    with pytest.raises(KeyError), open_sinks(loop(tmp_path, mlflow="http://localhost:1")):
        raise KeyError
    assert [run["status"] for run in tracker.runs.values()] == ["FAILED"]


def test_a_tracker_that_refuses_at_the_start_refuses_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Mlflow().install(monkeypatch)
    with pytest.raises(PluginError, match="maintenance mode\\n") as refused, open_sinks(loop(tmp_path, mlflow="file:///x")):
        pass
    assert "much more" not in refused.value.message
    assert "WANDB_MODE=offline" in refused.value.next_step


@pytest.mark.parametrize(("module", "key"), [("mlflow", "mlflow"), ("wandb", "wandb")])
def test_an_extra_that_is_missing_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, key: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(PluginError) as refused, open_sinks(loop(tmp_path, **{key: "x"})):
        pass
    assert refused.value.next_step == f"pip install 'loopwright[{key}]'"


def test_wandb_gets_figures_and_nothing_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {"log": []}
    run = SimpleNamespace(log=seen["log"].append, finish=lambda exit_code: seen.update(code=exit_code))
    module = ModuleType("wandb")
    vars(module).update(Settings=lambda **chosen: chosen, init=lambda **chosen: seen.update(chosen) or run)
    monkeypatch.setitem(sys.modules, "wandb", module)
    with open_sinks(loop(tmp_path, wandb="lab")) as (sink,):
        sink.event("c0003", "evaluate", "recorded", FACTS)
    assert (seen["project"], seen["id"], seen["resume"], seen["code"]) == ("lab", "w-5f2c9a10", "allow", 0)
    assert seen["dir"] == str(tmp_path / ".loopwright"), "where git does not look"
    assert seen["settings"]["console"] == "off"
    assert seen["settings"]["x_disable_meta"]
    assert seen["log"] == [{**{f"evaluate/{name}": value for name, value in flatten(FACTS["summary"])}, "cycle": 3}]


if importlib.util.find_spec("mlflow"):

    def test_the_real_mlflow_keeps_the_curve_of_a_loop(tmp_path: Path) -> None:
        """In a process of its own: the client turns on what it likes (telemetry, warnings)."""
        code = f"""
import json
from pathlib import Path
import mlflow
from tests.run.test_sinks import FACTS, loop
from loopwright.cli.sinks import open_sinks
root = Path({str(tmp_path)!r})
for number in (1, 2):
    with open_sinks(loop(root, mlflow=f"sqlite:///{{root}}/m.db")) as (sink,):
        sink.event(f"c000{{number}}", "evaluate", "recorded", FACTS)
(run,) = mlflow.search_runs(output_format="list")
history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "evaluate/gate/headline/value")
print(json.dumps([run.info.status, [entry.step for entry in history]]))
"""
        assert _told(code) == ["FINISHED", [1, 2]]


if importlib.util.find_spec("wandb"):

    def test_the_real_wandb_works_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WANDB_MODE", "offline")
        code = f"""
from pathlib import Path
from tests.run.test_sinks import FACTS, loop
from loopwright.cli.sinks import open_sinks
with open_sinks(loop(Path({str(tmp_path)!r}), wandb="lab")) as (sink,):
    sink.event("c0001", "evaluate", "recorded", FACTS)
    assert not sink.complaint
print("[]")
"""
        assert _told(code) == []
        (kept,) = (tmp_path / ".loopwright" / "wandb").glob("offline-run-*/run-*.wandb")
        assert b"evaluate/gate/headline/value" in kept.read_bytes()
        assert not (Path.cwd() / "wandb").exists()


def _told(code: str) -> Any:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
