"""The same number of runs in MLflow's own UI and in the dashboard, on one machine in one go: seconds to the first usable page.

    uv venv /tmp/mlflow && uv pip install --python /tmp/mlflow/bin/python mlflow
    python benchmarks/dashboard_mlflow.py --mlflow /tmp/mlflow --keep LONG [--runs 10000] [--repeats 5]

MLflow has an environment of its own, since it forbids our pyarrow. ``--keep`` is the folder of `benchmarks/dashboard.py` with as many cycles. Each run
in MLflow has the figures that a cycle's row shows. Visits alternate; both servers are warm, and either page is there when the newest run can be read. Prints
JSON; exits 1 where the mean of the paired ratios is less than 2. ``benchmarks/dashboard.py --mlflow`` measures this and everything else in one go.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import psutil
from dashboard import limits, opened, served
from visits import Chromium, chromium

BAR = 2.0
_FIRST = """
import sys
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient
client = MlflowClient(sys.argv[1])
run = client.create_run(client.create_experiment("long"), start_time=1, run_name="c0000").info
figures = {"sealed": 0.1, "gate": 0.12, "gain": 0.01, "accepted": 900, "seconds": 200}
client.log_batch(run.run_id, [Metric(k, v, 1, 0) for k, v in figures.items()], [Param("decision", "reject")], [])
client.set_terminated(run.run_id, end_time=2)
print(run.experiment_id, run.run_id)
"""
START, EVERY, LASTED = 1_704_067_200_000, 240_000, 200_000
"""Milliseconds: the first run, from one to the next, of each."""


def multiply(database: Path, run: str, count: int) -> None:
    """Make ``count`` runs of the one that MLflow's own client wrote: row by row what it wrote, since by the client 10,000 take hours."""
    with sqlite3.connect(database) as base:
        base.row_factory = sqlite3.Row
        tables = ("runs", "metrics", "latest_metrics", "params", "tags")
        ask = "SELECT * FROM {} WHERE run_uuid = ?"
        rows = {table: [dict(row) for row in base.execute(ask.format(table), (run,))] for table in tables}
        for number in range(count):
            made = f"{number:032x}" if number else run
            for table, found in rows.items():
                base.executemany(_insert(table, found[0]), [_changed(row, made, number) for row in found])


def _insert(table: str, row: Mapping[str, Any]) -> str:
    return "INSERT OR REPLACE INTO {} ({}) VALUES ({})".format(table, ", ".join(row), ", ".join(f":{name}" for name in row))  # noqa: S608  # names of columns that SQLite told


def _changed(row: Mapping[str, Any], made: str, number: int) -> dict[str, Any]:
    """The same of another cycle: its name, its times, scores that rise, every fifth promoted."""
    moment, told = START + EVERY * number, {**row, "run_uuid": made}
    for name, value in (("start_time", moment), ("timestamp", moment), ("end_time", moment + LASTED)):
        told |= {name: value} if name in row else {}
    if row.get("name") == "c0000":
        told["name"] = f"c{number:04d}"
    if row.get("value") == "c0000":
        told["value"] = f"c{number:04d}"
    if row.get("key") in {"sealed", "gate"}:
        told["value"] = row["value"] + number / 20_000
    if row.get("key") == "decision":
        told["value"] = "reject" if number % 5 else "promote"
    return told


@contextmanager
def mlflow_served(venv: Path, folder: Path, runs: int) -> Iterator[str]:
    """Address of the experiment's page."""
    store = f"sqlite:///{folder}/mlflow.db"
    quiet = {
        **os.environ,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    first = subprocess.run(
        [venv / "bin/python", "-c", _FIRST, store], check=True, capture_output=True, text=True, env=quiet, cwd=folder
    )
    experiment, run = first.stdout.split()[-2:]
    multiply(folder / "mlflow.db", run, runs)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [venv / "bin/mlflow", "server", "--backend-store-uri", store, "--port", str(port), "--workers", "1"]
    with subprocess.Popen(command, cwd=folder, env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _until_it_answers(f"http://127.0.0.1:{port}/health")
            yield f"http://127.0.0.1:{port}/#/experiments/{experiment}/runs"
        finally:
            for process in [*psutil.Process(server.pid).children(recursive=True), psutil.Process(server.pid)]:
                process.terminate()


def _until_it_answers(address: str) -> None:
    for _ in range(3000):
        try:
            urllib.request.urlopen(address, timeout=2).close()  # noqa: S310  # our own server
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit("MLflow's server does not answer")


def mlflow_opened(browser: Chromium, address: str, newest: str) -> dict[str, float]:
    """One visit in a fresh context, until the newest run is on screen; CPU-seconds of the browser up to then."""
    with browser.visit() as visit:
        before = browser.cpu()
        visit.go(address)
        first, _ = visit.until(f"return seen({newest!r});")
        return {"first paint (s)": first, "browser (CPU s)": browser.cpu() - before}


def compared(browser: Chromium, ours: tuple[str, psutil.Process], theirs: str, runs: int, repeats: int) -> dict[str, Any]:
    """Visit both by turns; both servers have been visited before."""
    newest = f"c{runs - 1:04d}"
    here, there = [], []
    for turn in range(repeats):
        if turn % 2:
            there.append(mlflow_opened(browser, theirs, newest))
        here.append(opened(browser, ours[0], newest, ours[1]))
        if not turn % 2:
            there.append(mlflow_opened(browser, theirs, newest))
    ratios = [other["first paint (s)"] / one["first paint (s)"] for one, other in zip(here, there, strict=True)]
    figures = ("first paint (s)", "browser (CPU s)")
    return {
        **{f"ours, {name}": limits([visit[name] for visit in here]) for name in figures},
        **{f"mlflow, {name}": limits([visit[name] for visit in there]) for name in figures},
        "times as fast": limits(ratios),
    }


def main() -> int:
    """Serve both, visit both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mlflow", type=Path, required=True)
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        mlflow_served(options.mlflow, Path(folder), options.runs) as other,
        served(options.keep.resolve()) as (address, server),
        chromium() as browser,
    ):
        newest = f"c{options.runs - 1:04d}"
        opened(browser, address, newest, server), mlflow_opened(browser, other, newest)
        psutil.wait_procs(server.children(recursive=True))
        told = compared(browser, (address, server), other, options.runs, options.repeats)
    print(json.dumps({"runs": options.runs, **told, "bar": BAR, "load": os.getloadavg()[0]}))
    return 0 if told["times as fast"]["value"] >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
