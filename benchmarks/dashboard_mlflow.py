"""The same number of runs in MLflow's own UI and in the dashboard, on one machine in one go: seconds to the first usable page.

    uv venv /tmp/mlflow && uv pip install --python /tmp/mlflow/bin/python mlflow
    python benchmarks/dashboard_mlflow.py --mlflow /tmp/mlflow --keep LONG [--runs 10000] [--repeats 5]

MLflow has an environment of its own, since it forbids our pyarrow. ``--keep`` is the folder of `benchmarks/dashboard.py` with as many cycles. Each run
in MLflow has the figures that a cycle's row shows. Visits alternate; both servers are warm. Prints JSON; exits 1 where MLflow's mean is less than twice ours.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import sqlite3
import statistics
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
    quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
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


def mlflow_opened(browser: Any, address: str, newest: str) -> float:
    """One visit in a fresh context, until the newest run is on screen."""
    context = browser.new_context(viewport={"width": 1360, "height": 900})
    page = context.new_page()
    began = time.monotonic()
    page.goto(address)
    page.get_by_text(newest, exact=True).first.wait_for(timeout=120_000)
    seconds = time.monotonic() - began
    context.close()
    return seconds


def main() -> int:
    """Visit both by turns."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mlflow", type=Path, required=True)
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    name, newest = shutil.which("chromium") or shutil.which("chromium-browser"), f"c{options.runs - 1:04d}"
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    ours, theirs = [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        mlflow_served(options.mlflow, Path(folder), options.runs) as other,
        served(options.keep.resolve()) as (address, server),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=name, args=flags)
        opened(browser, address), mlflow_opened(browser, other, newest)
        psutil.wait_procs(server.children(recursive=True))
        for _ in range(options.repeats):
            ours.append(opened(browser, address)["first paint (s)"])
            theirs.append(mlflow_opened(browser, other, newest))
        browser.close()
    times = statistics.mean(theirs) / statistics.mean(ours)
    told = {
        "runs": options.runs,
        "ours (s)": limits(ours),
        "mlflow (s)": limits(theirs),
        "times as fast": round(times, 2),
        "bar": BAR,
    }
    print(json.dumps(told))
    return 0 if times >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
