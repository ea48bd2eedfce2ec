"""What visitors cost a running loop: eight WebSocket sessions on the dashboard, none of which draws anything.

    python benchmarks/dashboard_sessions.py --workspace LOOP [--sessions 8] [--pairs 6]

Cycles are turned one by one, by turns without and with the sessions open on the overview, so that both meet the same machine. A session speaks
Streamlit's protocol as a browser does: the page once, then the parts that refresh themselves, as often as the server says. Prints JSON: growth of the cycle
time (from the record, open to close) as the mean of the paired ratios with a 95 % t interval; exits 1 where its upper limit is over the bar.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from dashboard import limits, served

from loopwright.ledger.location import locate
from loopwright.ledger.reading import driven
from loopwright.workspace import find

BAR = 0.10


class Visitors:
    """Sessions in a thread of their own."""

    def __init__(self, address: str, count: int) -> None:
        self._address, self._count = address.replace("http", "ws") + "/_stcore/stream", count
        self._loop = asyncio.new_event_loop()
        self.messages = self.asked = 0
        """Messages that came, and times that the page or a part of it was asked for."""

    async def _visit(self) -> None:
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
        from websockets.asyncio.client import connect

        timers: dict[str, asyncio.Task[None]] = {}
        async with connect(self._address, subprotocols=["streamlit"], max_size=None) as socket:  # type: ignore[list-item]
            await self._ask(socket)
            try:
                async for data in socket:
                    self.messages += 1
                    told = ForwardMsg.FromString(data)
                    if told.WhichOneof("type") == "auto_rerun" and told.auto_rerun.fragment_id not in timers:
                        part = told.auto_rerun
                        timers[part.fragment_id] = asyncio.create_task(self._again(socket, part.fragment_id, part.interval))
                    for name in told.stop_auto_rerun.fragment_ids:
                        if name in timers:
                            timers.pop(name).cancel()
            finally:
                for timer in timers.values():
                    timer.cancel()

    async def _again(self, socket: Any, fragment: str, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self._ask(socket, fragment)

    async def _ask(self, socket: Any, fragment: str = "") -> None:
        from streamlit.proto.BackMsg_pb2 import BackMsg

        message = BackMsg()
        message.rerun_script.query_string = ""
        if fragment:
            message.rerun_script.fragment_id, message.rerun_script.is_auto_rerun = fragment, True
        await socket.send(message.SerializeToString())
        self.asked += 1

    async def _closed(self) -> None:
        """Until every session has said goodbye."""
        mine = asyncio.current_task()
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task is not mine), return_exceptions=True)

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """While the block runs."""
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        visits = [asyncio.run_coroutine_threadsafe(self._visit(), self._loop) for _ in range(self._count)]
        try:
            yield
            broken = [visit.exception() for visit in visits if visit.done()]
        finally:
            for visit in visits:
                visit.cancel()
            asyncio.run_coroutine_threadsafe(self._closed(), self._loop).result(30)
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
        if broken:
            raise SystemExit(f"{len(broken)} of {self._count} sessions broke: {broken[0]!r}")


def cycle(root: Path, visitors: Visitors | None = None) -> float:
    """Turn one, with the visitors from where the driver is at work; its seconds by the record."""
    command = [sys.executable, "-m", "loopwright", "run", "--cycles", "1", "--workspace", str(root)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        while run.poll() is None and not driven(locate(root)):
            time.sleep(0.1)
        with visitors.open() if visitors else contextlib.nullcontext():
            run.wait()
    if run.returncode:
        raise SystemExit(f"the run ended with code {run.returncode}")
    state = find(root).state()
    last = state.cycles[str(state.last)]
    began, ended = (datetime.fromisoformat(str(one)) for one in (last.opened_at, last.closed_at))
    return (ended - began).total_seconds()


def main() -> int:
    """Turn pairs of cycles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=6)
    options = parser.parse_args()
    root, alone, beside, messages, asked = options.workspace.resolve(), [], [], 0, 0
    with served(root) as (address, _):
        for pair in range(options.pairs):
            for watched in (False, True) if pair % 2 == 0 else (True, False):
                if not watched:
                    alone.append(cycle(root))
                    continue
                visitors = Visitors(address, options.sessions)
                beside.append(cycle(root, visitors))
                messages, asked = messages + visitors.messages, asked + visitors.asked
    growth = [after / before - 1 for before, after in zip(alone, beside, strict=True)]
    told = limits(growth) if len(growth) > 1 else {"value": round(growth[0], 3), "n": 1}
    counted = {"sessions": options.sessions, "messages": messages, "asked": asked}
    print(json.dumps({**counted, "alone (s)": alone, "with sessions (s)": beside, "growth": told, "bar": BAR}))
    return 0 if told.get("high", told["value"]) <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
