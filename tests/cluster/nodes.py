"""A real Ray of several nodes on one machine, each on a host of `tests.cluster.network`.

The head and the driver are in the machine's own namespace and have no CPU slots; every other node has an address, a raylet and
workers of its own. What kills or cuts a node here does to Ray what a dead host or a pulled cable does.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

from loopwright.runtime.ray_process import kill_all
from tests.cluster.network import Network, until
from tests.ports import free_port

__all__ = ["Nodes"]

_WORKERS_SEE = {
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": str(Path(__file__).parents[2]),
    "PYTHONUNBUFFERED": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
_RAY = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]


class Nodes:
    """Use as a context: what was started is gone at its end, whatever happened."""

    def __init__(self, folder: Path) -> None:
        """``folder`` gets the token and the logs; nothing is started yet."""
        self._network = Network()
        self.folder = folder
        self._head: subprocess.Popen[bytes] | None = None
        self._members: dict[str, subprocess.Popen[bytes]] = {}
        token = folder / "token"
        token.write_text(secrets.token_hex(32))
        token.chmod(0o600)
        self.environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
        self.port = free_port()
        self.temporary = Path(f"/tmp/lwr{self.port}")  # Ray's sockets need a short path

    @property
    def address(self) -> str:
        """What a profile names to join."""
        return f"{self._network.first}:{self.port}"

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the nodes that were added, the head apart."""
        return tuple(self._members)

    def __enter__(self) -> Self:
        self._network.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._members):
            self.kill(name)
        self.kill_head()
        self._network.__exit__()
        subprocess.run(["rm", "-rf", str(self.temporary)], check=False)

    def start_head(self, *more: str, program: str = "") -> None:
        """The head, without CPU slots: work goes to the others. ``program``: Python that is run in place of Ray's own."""
        ray = [sys.executable, "-c", program, *_RAY[3:]] if program else _RAY
        command = [*ray, "--head", f"--node-ip-address={self._network.first}", f"--port={self.port}", "--num-cpus=0"]
        command += ["--include-dashboard=false", f"--temp-dir={self.temporary}", *more]
        self._head = self._start(command, "head")
        self._wait(lambda: "runtime started" in self._log("head"), "head")

    def add(self, name: str, *more: str, cpus: int = 1, disk: tuple[Path, str] | None = None) -> None:
        """A node of its own. ``disk``: a folder that this node alone sees as a small disk of that size."""
        address = self._network.add(name)
        command = [*_RAY, f"--address={self.address}", f"--node-ip-address={address}", f"--num-cpus={cpus}", *more]
        if disk is not None:
            script = 'mount -t tmpfs -o size="$1" tmpfs "$0" && shift && exec "$@"'
            command = ["sh", "-c", script, str(disk[0]), disk[1], *command]
        self._members[name] = self._start([*self._network.on(name), *command], name)
        self._wait(lambda: "runtime started" in self._log(name), name)

    def restore(self, *names: str) -> None:
        """A head and these nodes, started where they do not live."""
        if self._head is None or self._head.poll() is not None:
            self.kill_head()
            for name in list(self._members):
                self.kill(name)
            self.start_head()
        for name in names:
            if name in self._members and not any(found.name() == "raylet" for found in self.processes(name)):
                self.kill(name)
            if name not in self._members:
                self.add(name)

    def processes(self, name: str) -> list[psutil.Process]:
        """All that runs on a node."""
        return self._network.processes(name)

    def at(self, word: str) -> list[tuple[str, psutil.Process]]:
        """Processes with ``word`` in their command line or title, each with its node's name."""
        found = []
        for name in self._members:
            for process in self.processes(name):
                with suppress(psutil.NoSuchProcess):
                    if word in " ".join(process.cmdline()):
                        found.append((name, process))
        return found

    def kill(self, name: str) -> None:
        """The node's host is gone, from one moment to the next."""
        self._network.remove(name)
        self._members.pop(name).wait()

    def kill_head(self) -> None:
        """The head's host loses all of Ray."""
        if self._head is None:
            return
        with suppress(psutil.NoSuchProcess):
            tree = psutil.Process(self._head.pid)
            found = [*tree.children(recursive=True), tree]
            kill_all(lambda: found)
        self._head.wait()
        self._head = None

    def cut(self, name: str) -> None:
        """Pull the node's cable: nothing passes in either direction, and nobody is told."""
        self._network.cut(name)

    def mend(self, name: str) -> None:
        """Plug it in again."""
        self._network.mend(name)

    def _start(self, command: list[str], name: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **self.environment, **_WORKERS_SEE}
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _log(self, name: str) -> str:
        log = self.folder / f"{name}.log"
        return log.read_text(errors="replace") if log.exists() else f"{name} was never started"

    def _wait(self, up: Callable[[], bool], name: str) -> None:
        until(up, lambda: self._log(name))
