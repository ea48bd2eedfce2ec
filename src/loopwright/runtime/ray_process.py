"""Our end of the process that opens Ray: starting it with a clean environment, talking to it, ending it for good.

Ray hands its environment to every worker, so the child gets the few variables that computing needs and none that may hold
a secret. Its token lies in our scratch, readable by us alone, never in the home folder.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import psutil

from loopwright.errors import InfraError
from loopwright.runtime.profile import Profile

__all__ = ["HostProcess", "Opening", "environment", "kill_all", "lives"]

_PASSED = {
    "HOME",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "PATH",
    "TMPDIR",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
    "XDG_CACHE_HOME",
}
_PASSED_GROUPS = ("CUDA_", "GLOO_", "KMP_", "LC_", "MKL_", "NCCL_", "NVIDIA_", "OMP_", "RAY_")
_SECRET = ("CREDENTIAL", "KEY", "PASSWORD", "SECRET", "TOKEN")
_SHORT = 24
"""Characters of a directory in which Ray's sockets still find room: their whole path may have 107 bytes."""

_PRIVATE = {
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # nobody preempts half of one machine
    "RAY_gcs_server_port_wait_time_s": "120",  # a busy machine is slow, and not broken
    "RAY_worker_niceness": "0",  # 15 by default: workers would starve beside anything else that computes
}
"""For a Ray that is ours alone."""
_RELIED_ON = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ENABLE_AUTO_CONNECT": "0",
    # Ray would end idle worker processes, and what they have cached, when there are more processes than CPUs.
    "RAY_num_workers_soft_limit": "256",
    "RAY_TRAIN_COLLECTIVE_WARN_INTERVAL_S": "86400",  # ranks wait for their next job in a collective
    # How late a worker's death is noticed, and how long two checkpoints in a row wait for each other.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """The first message to the host: all that it must know."""

    profile: Profile
    scratch: Path
    temporary: Path
    """Around Ray's own directory; removed at the end."""
    preload: tuple[str, ...]
    train_preload: tuple[str, ...]
    eager: bool
    """Training will be asked for, so import while Ray starts."""


def kill_all(find: Callable[[], Iterable[psutil.Process]], patience: float = 5.0) -> None:
    """Kill what ``find`` finds, and again what it then finds, until that is nothing; ``patience`` in seconds."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        living = [process for process in find() if lives(process)]
        if not living:
            return
        for process in living:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(0.02)


def environment(profile: Profile, place: Path) -> dict[str, str]:
    """What the host, Ray and all workers of a private Ray see of the world; ``place`` holds the token.

    Settings of Ray's (``RAY_…``) that a person has in the environment stay, but for those that this program relies on.
    """
    passed = {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED or (name.startswith(_PASSED_GROUPS) and not any(word in name for word in _SECRET))
    }
    passed.pop("RAY_ADDRESS", None)  # the profile says where
    if profile.address == "local":
        passed |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(place / "token")}
    else:
        passed |= {name: value for name, value in os.environ.items() if name.startswith("RAY_AUTH_")}
        passed["RAY_AUTH_MODE"] = "token"  # a cluster that asks for none is refused (`ray_host`)
    paths = [path for path in sys.path if Path(path).is_absolute() and not path.startswith((sys.prefix, sys.base_prefix))]
    return {
        **(_PRIVATE if profile.address == "local" else {}),
        **passed,
        **{name: os.environ[name] for name in profile.environment if name in os.environ},
        **_RELIED_ON,
        "OMP_NUM_THREADS": str(profile.threads),
        "PYTHONPATH": os.pathsep.join(paths),
    }


class HostProcess:
    """A running `loopwright.runtime.ray_host`."""

    def __init__(
        self, profile: Profile, scratch: Path, preload: Sequence[str], train_preload: Sequence[str], *, eager: bool
    ) -> None:
        """Start it; returns at once, Ray needs some seconds more."""
        scratch.mkdir(parents=True, exist_ok=True)
        _clear_remains(scratch)
        self._address = profile.address
        self._shared = profile.address != "local"
        self._place = Path(tempfile.mkdtemp(prefix="ray-", dir=scratch))
        usual = tempfile.gettempdir()
        self._temporary = Path(tempfile.mkdtemp(prefix="lw-", dir=usual if len(usual) <= _SHORT else "/tmp"))  # noqa: S108
        _write_token(self._place / "token")
        self._connection, theirs = Pipe()
        with (self._place / "host.log").open("wb") as log, theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "loopwright.runtime.ray_host", str(theirs.fileno())],
                cwd=self._place,
                env=environment(profile, self._place),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us to handle
            )
        record = {"host": self._process.pid, "temporary": str(self._temporary)}
        (self._place / "host.json").write_text(json.dumps(record), encoding="utf-8")
        self.facts: Mapping[str, Any] = {}
        opening = Opening(
            profile=profile,
            scratch=scratch,
            temporary=self._temporary,
            preload=tuple(preload),
            train_preload=tuple(train_preload),
            eager=eager and profile.warm,
        )
        self.send(opening)

    def send(self, message: Any) -> None:
        """Hand the host a message.

        Raises:
            InfraError: it is not there any more.
        """
        try:
            self._connection.send(message)
        except OSError as error:
            raise self._gone() from error

    def receive(self) -> tuple[Any, ...]:
        """The host's next answer; waits for it.

        Raises:
            InfraError: it ended instead.
        """
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError) as error:
                raise self._gone() from error
            if message[0] == "fatal":
                raise self._gone(message[1])
            if message[0] != "ready":
                return message
            self.facts = message[1]

    def close(self, patience: float = 10.0) -> None:
        """End Ray and the host, wait up to ``patience`` seconds for a graceful end, and leave nothing."""
        children = self._processes()
        with suppress(InfraError):
            self.send(("close",))
        self._end(children, patience)

    def abandon(self) -> None:
        """The same in the midst of a request: the host is not asked."""
        self._end(self._processes(), 0.0)

    def _end(self, children: list[psutil.Process], patience: float) -> None:
        if patience:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
        self._connection.close()
        self._process.kill()
        self._process.wait()
        kill_all(lambda: children)
        shutil.rmtree(self._temporary, ignore_errors=True)
        shutil.rmtree(self._place, ignore_errors=True)

    def _processes(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def _gone(self, reason: str = "") -> InfraError:
        """Why it ended: by its own words, or by the last line of its log where it could say none."""
        with suppress(EOFError, OSError):
            while not reason and self._connection.poll():
                message = self._connection.recv()
                reason = message[1] if message[0] == "fatal" else ""
        log = (self._place / "host.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if self.facts and self._shared and not reason:  # it worked, so Ray ended it: that happens where the head is gone
            return InfraError(
                f"the Ray cluster at {self._address} was lost: its head is gone, or this host's part of it",
                "once it is up again, `loopwright run` goes on from what is done",
            )
        said = reason or (log[-1] if log else "it left no word")
        step = "run `loopwright doctor`, or set `runtime.profile: in-process` in loop.yaml"
        if self._shared:
            step = "check the profile's address, and that RAY_AUTH_TOKEN_PATH names the cluster's token; then run again"
        if "ersion mismatch" in said:
            step = (
                "install on both sides the Ray and the Python of requirements.lock (`ray --version` tells it), then run again"
            )
        return InfraError(f"Ray did not start, or ended too early: {said}", step)


def lives(process: psutil.Process) -> bool:
    """Whether it still runs; a zombie does not, and is the business of whoever started it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _write_token(path: Path) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))


def _clear_remains(scratch: Path) -> None:
    """Remove the directories of hosts that were killed before they could."""
    for record in scratch.glob("ray-*/host.json"):
        remains = json.loads(record.read_text(encoding="utf-8"))
        temporary = Path(remains["temporary"])
        if not psutil.pid_exists(remains["host"]):
            if temporary.name.startswith("lw-"):
                shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(record.parent, ignore_errors=True)
