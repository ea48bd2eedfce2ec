"""Hosts on one machine: each a network namespace with an address of its own, joined by a bridge that can be cut. Needs root."""

from __future__ import annotations

import itertools
import secrets
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

from loopwright.runtime.ray_process import kill_all

__all__ = ["Network", "possible", "until"]

_PATIENCE = 120.0
_BOOT = """
hostname "$1"
mount --bind "$2" /etc/hosts
mkdir -p /tmp/ray /tmp/tmux-0
mount -t tmpfs ray /tmp/ray
mount -t tmpfs -o mode=700 tmux /tmp/tmux-0
shift 2
%s &
wait  # and bury what loses its parent, as the first process of a host does
"""


def possible() -> bool:
    """Whether this account may make network namespaces."""
    with suppress(OSError):
        return subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode == 0
    return False


def until(up: Callable[[], bool], said: Callable[[], str], patience: float = _PATIENCE) -> None:
    """Wait for it; TimeoutError with what was said where it does not come."""
    end = time.monotonic() + patience
    while not up():
        if time.monotonic() > end:
            raise TimeoutError(said()[-2000:])
        time.sleep(0.2)


class Network:
    """Use as a context: its hosts, and all that runs on them, are gone at its end. The machine itself has the first address."""

    def __init__(self) -> None:
        self._number = secrets.randbelow(200) + 20
        self._bridge = f"lwb{self._number}"
        self._net = f"10.{self._number}.77"
        self._addresses = itertools.count(11)
        self._hosts: set[str] = set()

    @property
    def first(self) -> str:
        """The machine's own address on the bridge."""
        return f"{self._net}.1"

    def __enter__(self) -> Self:
        _do("ip", "link", "add", self._bridge, "type", "bridge")
        _do("ip", "addr", "add", f"{self.first}/24", "dev", self._bridge)
        _do("ip", "link", "set", self._bridge, "up")
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._hosts):
            self.remove(name)
        subprocess.run(["ip", "link", "del", self._bridge], check=False, capture_output=True)

    def add(self, name: str) -> str:
        """A host; its address."""
        space, address = f"{self._bridge}{name}", f"{self._net}.{next(self._addresses)}"
        _do("ip", "netns", "add", space)
        self._hosts.add(name)
        # The kernel takes the cable of a killed host away when it has time.
        until(lambda: _linked(f"{space}v", space), lambda: f"no cable for {name}")
        _do("ip", "link", "set", f"{space}v", "master", self._bridge, "up")
        _do("ip", "-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
        _do("ip", "-n", space, "link", "set", "eth0", "up")
        _do("ip", "-n", space, "link", "set", "lo", "up")
        _do("ip", "-n", space, "route", "add", "default", "via", self.first)  # Ray asks by which address it would go out
        return address

    def on(self, name: str) -> list[str]:
        """The words before a command that runs it on a host."""
        return ["ip", "netns", "exec", f"{self._bridge}{name}"]

    def boot(self, name: str, hosts: Path, script: str, *words: str) -> list[str]:
        """A command that starts a host of its own name and process numbers.

        Args:
            name: of a host that was added.
            hosts: its ``/etc/hosts``.
            script: lines of a shell, the last of them what the host is for.
            words: what the script gets as ``$1`` and so on.
        """
        apart = ["unshare", "--pid", "--fork", "--mount-proc", "--uts", "sh", "-euc", _BOOT % script.strip(), name]
        return [*self.on(name), *apart, name, str(hosts), *words]

    def processes(self, name: str) -> list[psutil.Process]:
        """All that runs on a host."""
        found = subprocess.run(["ip", "netns", "pids", f"{self._bridge}{name}"], capture_output=True, text=True, check=False)
        living = []
        for pid in found.stdout.split():
            with suppress(psutil.NoSuchProcess):
                living.append(psutil.Process(int(pid)))
        return living

    def remove(self, name: str) -> None:
        """The host is gone, from one moment to the next."""
        kill_all(lambda: self.processes(name))
        subprocess.run(["ip", "netns", "del", f"{self._bridge}{name}"], check=False, capture_output=True)
        self._hosts.discard(name)

    def cut(self, name: str) -> None:
        """Pull the host's cable: nothing passes in either direction, and nobody is told."""
        _do("ip", "link", "set", f"{self._bridge}{name}v", "down")

    def mend(self, name: str) -> None:
        """Plug it in again."""
        _do("ip", "link", "set", f"{self._bridge}{name}v", "up")


def _do(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _linked(cable: str, space: str) -> bool:
    """Lay a cable into the namespace; False where one of that name is still there."""
    command = ["ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
