"""The dashboard over a loop of 10,000 cycles: seconds to the first usable page, to a page after a filter, and what was sent.

    python benchmarks/dashboard.py --like demo [--cycles 10000] [--repeats 5] [--keep FOLDER] [--mlflow VENV]

The record is made of a real one: the entries of the last whole cycle of ``--like`` (a finished demo), signed again under the names
of cycles that follow each other, with scores, decisions and times of their own. Nothing else of such cycles is there: the pages read
the record alone. Chromium without a window opens each page in a fresh context (`visits.py`), on one warm server whose index is filled and which has
verified the record. The first paint is when the newest cycle can be read; a filter's, when the page says how many match. Prints JSON; exits 1 where the upper limit of a mean (95 % t interval) is over its bar.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import psutil
from scipy.stats import t as student
from visits import ALL, Chromium, chromium

from loopwright.index import Index
from loopwright.ledger import Ledger
from loopwright.ledger.ledger import Draft
from loopwright.ledger.signer import LocalSigner
from loopwright.types import Artifact, cycle_name
from loopwright.workspace import Workspace

BARS = {"first paint (s)": 2.0, "after a filter (s)": 0.5, "sent (MB)": 2.0}
MATCH = "all(document).find((one) => one.children.length === 0 && one.textContent.includes('cycles match')).textContent"
"""JavaScript: how many cycles the page says that the filter lets through."""
BATCH = 200
"""Cycles in a transaction."""
START = datetime(2024, 1, 1, tzinfo=UTC)


def score(value: float, n: int, spread: float = 0.0) -> dict[str, Any]:
    """A score with the interval of its normal approximation, or one of this half width."""
    half = spread or 1.96 * math.sqrt(value * (1 - value) / n)
    return {"value": value, "low": value - half, "high": value + half, "n": n, "method": "normal 95%"}


def told_of(like: Path) -> list[tuple[str, str, list[Artifact], str]]:
    """Kind, role, subjects and predicate (JSON, the cycle's names replaced by marks) of the last whole cycle."""
    workspace = Workspace(root=like.resolve())
    state = workspace.state()
    if state.last is None:
        raise SystemExit("--like names a workspace without a finished cycle: `loopwright demo` makes one")
    last = state.cycles[state.last]
    roles = {principal["id"]: principal["role"] for principal in state.genesis["principals"]}
    ledger = workspace.ledger()
    try:
        turn = [one for one in ledger.statements() if one.predicate.get("cycle") == last.cycle]
    finally:
        ledger.close()
    marked = []
    for one in turn:
        text = json.dumps({name: value for name, value in one.predicate.items() if name != "event"})
        marked.append(
            (one.kind, roles[one.keyid], list(one.subjects), text.replace(last.cycle, "@new").replace(str(last.parent), "@old"))
        )
    return marked


def drafts(
    told: list[tuple[str, str, list[Artifact], str]], number: int, champion: str, level: float, chance: random.Random
) -> Iterator[Draft]:
    """The entries of one cycle."""
    name, before = cycle_name(number), cycle_name(max(0, number - 1))
    promoted, gain = number == 0 or chance.random() < 0.2, chance.uniform(-0.02, 0.06)
    action = "promote" if promoted else chance.choice(("reject", "reject", "reject", "hold"))
    moment = START + timedelta(minutes=4 * number)
    for place, (kind, role, subjects, text) in enumerate(told):
        said = json.loads(text.replace("@new", name).replace("@old", before))
        moment += timedelta(seconds=chance.uniform(1, 40))
        said |= {key: f"{moment:%Y-%m-%dT%H:%M:%S.000Z}" for key in said if key.endswith("_at")}
        if kind == "open":
            said |= {"parent": champion if number else None, "prev": before if number else None}
        elif kind == "close":
            said |= {"action": action, "champion": name if promoted else champion}
        elif kind == "phase":
            said["key"] = f"sha256:{number:032x}{place:032x}"
            vary(said["phase"], said["summary"], action, level, gain)
        about = [
            Artifact(kind=one.kind, digest=one.digest, path=f"cycles/{name}/{one.path.split('/', 2)[2]}")
            for one in subjects
            if "/" in one.path
        ]
        yield Draft(kind=kind, subjects=about, predicate=said, role=role, event=f"{number}:{place}")


def _agreeing(draft: Draft, there: dict[str, str]) -> Draft:
    """The same, which used what was made before it; ``there``: digests of that by path."""
    used = [{**one, "digest": there.get(one["path"], one["digest"])} for one in draft.predicate.get("inputs", ())]
    there.update({one.path: one.digest for one in draft.subjects})
    return replace(draft, predicate={**draft.predicate, "inputs": used}) if used else draft


def vary(phase: str, summary: dict[str, Any], action: str, level: float, gain: float) -> None:
    """Scores and decision of this cycle's own."""
    if phase == "evaluate":
        summary["gate"]["headline"], summary["sealed"]["headline"] = score(level + 0.02, 290), score(level, 290)
    elif phase == "decide":
        summary |= {"action": action, "gain": score(gain, 290, 0.03), "reasons": [f"gain {gain:+.3f} on 290 paired gate tasks"]}


def make(root: Path, like: Path, cycles: int) -> int:
    """A ledger of so many cycles; its entries."""
    told, chance = told_of(like), random.Random(7)
    ledger = Ledger.create(
        root,
        workspace=f"{7:032x}",
        name="long",
        demo=True,
        plan=f"sha256:{7:064x}",
        key_home=root / ".keys",
        signer=LocalSigner,
    )
    champion, level, waiting = cycle_name(0), 0.1, []
    there: dict[str, str] = {}
    try:
        for number in range(cycles):
            made = [_agreeing(draft, there) for draft in drafts(told, number, champion, level, chance)]
            waiting += made
            if made[-1].predicate["champion"] != champion:
                champion, level = made[-1].predicate["champion"], min(0.9, level + 0.0004)
            if number % BATCH == BATCH - 1 or number == cycles - 1:
                ledger.append_many(waiting)
                ledger.publish()
                waiting = []
        ledger.sign_checkpoint()
        return ledger.size
    finally:
        ledger.close()


@contextlib.contextmanager
def served(root: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Address and process of the app over this workspace, as `loopwright app` serves it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-m", "app.serve", "run", str(home / "app/asgi.py"), f"--server.port={port}", "--", str(root)]
    with subprocess.Popen(command, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}", psutil.Process(server.pid)
        finally:
            server.terminate()


def opened(browser: Chromium, address: str, newest: str, server: psutil.Process) -> dict[str, float]:
    """One visit: to the newest cycle on screen, and to the page after a filter; CPU-seconds of browser and server up to the first."""
    with browser.visit() as visit:
        before, ours = browser.cpu(), sum(server.cpu_times()[:2])
        visit.go(f"{address}/cycles")
        first, _ = visit.until(f"return seen({newest!r});")
        spent = {"browser (CPU s)": browser.cpu() - before, "server (CPU s)": sum(server.cpu_times()[:2]) - ours}
        time.sleep(1.5)
        visit.ask(
            f"{ALL} window.told = {MATCH}; all(document).find((one) => one.tagName === 'BUTTON' && one.innerText === 'Promoted').click();"
        )
        _, filtered = visit.until(f"return {MATCH} !== window.told;")
    return {"first paint (s)": first, "after a filter (s)": filtered, **spent}


def sent(browser: Chromium, address: str, newest: str) -> dict[str, float]:
    """Megabytes that a first visit gets, by HTTP and by WebSocket."""
    with browser.visit(counting=True) as visit:
        visit.go(f"{address}/cycles")
        visit.until(f"return seen({newest!r});")
        time.sleep(2)
        by_http, by_socket = visit.ask(
            "[performance.getEntriesByType('resource').reduce((sum, one) => sum + one.transferSize, 0), window.arrived]"
        )
    return {"sent (MB)": (by_http + by_socket) / 1e6, "of it by WebSocket (MB)": by_socket / 1e6}


def limits(values: list[float]) -> dict[str, float | int]:
    """Mean with a 95 % t interval."""
    mean = statistics.mean(values)
    half = float(student.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / len(values) ** 0.5
    return {
        "value": round(mean, 3),
        "low": round(mean - half, 3),
        "high": round(mean + half, 3),
        "least": round(min(values), 3),
        "n": len(values),
    }


def measured(root: Path, cycles: int, repeats: int) -> Mapping[str, Mapping[str, float | int]]:
    """Each figure over so many visits."""
    newest = cycle_name(cycles - 1)
    with served(root) as (address, server), chromium() as browser:
        opened(
            browser, address, newest, server
        )  # loads the server's modules, and begins to verify the record in a process of its own
        psutil.wait_procs(server.children(recursive=True))
        visits = [opened(browser, address, newest, server) for _ in range(repeats)]
        weighed = [sent(browser, address, newest) for _ in range(2)]
    return {figure: limits([visit[figure] for visit in visits]) for figure in visits[0]} | {
        figure: limits([visit[figure] for visit in weighed]) for figure in weighed[0]
    }


def main() -> int:
    """Make the record, fill its index, open the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--like", type=Path, required=True)
    parser.add_argument("--cycles", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="make the record here, or use the one that is here")
    parser.add_argument(
        "--mlflow", type=Path, help="an environment with MLflow: the same runs in its pages, by `dashboard_mlflow.py`"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        root = options.keep or Path(place) / "long"
        if not (root / "ledger").is_dir():
            root.mkdir(parents=True, exist_ok=True)
            make(root, options.like, options.cycles)
        began = time.monotonic()
        with Index.open(root) as index:
            entries = index.told["size"]
        filled = round(time.monotonic() - began, 2)
        began = time.monotonic()
        with Index.open(root):
            pass
        again = round(time.monotonic() - began, 4)
        found = measured(root, options.cycles, options.repeats)
        beside = _beside_mlflow(root, options) if options.mlflow else None
    print(
        json.dumps(
            {
                "cycles": options.cycles,
                "entries": entries,
                "filling the index (s)": filled,
                "opening it (s)": again,
                **found,
                "bars": BARS,
                "load": os.getloadavg()[0],
                **({"beside mlflow": beside} if beside else {}),
            }
        )
    )
    fast = beside is None or beside["times as fast"]["value"] >= beside["bar"]
    return 0 if fast and all(found[figure]["high"] <= bar for figure, bar in BARS.items()) else 1


def _beside_mlflow(root: Path, options: argparse.Namespace) -> dict[str, Any]:
    script = Path(__file__).with_name("dashboard_mlflow.py")
    told = [
        "--mlflow",
        str(options.mlflow),
        "--keep",
        str(root),
        "--runs",
        str(options.cycles),
        "--repeats",
        str(options.repeats),
    ]
    done = subprocess.run([sys.executable, str(script), *told], stdout=subprocess.PIPE, text=True, check=False)
    return json.loads(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
