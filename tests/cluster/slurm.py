"""A real Slurm of several hosts on one machine: `slurmctld` on the machine, a `slurmd` on each host of `tests.cluster.network`.

A host has its own name, network and process numbers, and all see one file system, as the nodes of a lab do. Only munge, by which Slurm's
parts know each other, is shared. Needs root and Debian's `slurmctld`, `slurmd`, `slurm-client` and `munge`.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import psutil

from tests.cluster.network import Network, possible, until
from tests.ports import free_port

__all__ = ["Slurm", "installed"]

_PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")
_CONFIGURATION = """
ClusterName=lab
SlurmctldHost={controller}({address})
SlurmctldPort={port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmdPidFile={folder}/%n.pid
SlurmctldPidFile={folder}/slurmctld.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
KillWait=30
SchedulerParameters=sched_interval=5
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
_HOST = """
mount -t tmpfs cgroups /sys/fs/cgroup
slurmd -D -f "$1"
"""


def installed() -> bool:
    """Whether this machine can run it."""
    return possible() and all(shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") for program in _PROGRAMS)


class Slurm:
    """Use as a context: what was started is gone at its end. ``hosts``: their names, two cores each."""

    def __init__(self, folder: Path, *hosts: str) -> None:
        """``folder`` gets Slurm's configuration, logs and state."""
        self.folder, self._hosts = folder, hosts
        self.network = Network()
        self._started: list[subprocess.Popen[bytes]] = []
        self._opened = ExitStack()

    @property
    def environment(self) -> Mapping[str, str]:
        """Under which Slurm's commands ask this Slurm."""
        path = f"{os.environ['PATH']}:/usr/sbin"
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            opened.enter_context(self.network)
            opened.callback(self._end)
            self._write()
            key = self.folder / "munge.key"
            key.write_bytes(secrets.token_bytes(128))
            key.chmod(0o600)
            told = {"socket": "munge.socket", "key-file": key.name, "pid-file": "munge.pid", "log-file": "munge.log"}
            options = [f"--{name}={self.folder / file}" for name, file in {**told, "seed-file": "munge.seed"}.items()]
            self._start(["munged", "--foreground", "--force", *options], "munged")
            until((self.folder / "munge.socket").exists, lambda: self._log("munged"))
            configuration = str(self.folder / "slurm.conf")
            self._start(["slurmctld", "-D", "-f", configuration], "slurmctld")
            for host in self._hosts:
                self._start(self.network.boot(host, self.folder / "hosts", _HOST, configuration), host)
            until(lambda: self.ask("sinfo", "-h", "-o", "%T %D") == f"idle {len(self._hosts)}", lambda: self._log("slurmctld"))
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def ask(self, *command: str) -> str:
        """What a command of Slurm's says."""
        environment = {**os.environ, **self.environment}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout.strip()

    def state(self, job: str) -> str:
        """The job's state, and how often it was started again."""
        told = dict(word.split("=", 1) for word in self.ask("scontrol", "show", "job", job).split() if "=" in word)
        return f"{told.get('JobState')} {told.get('Restarts')}"

    def processes(self, host: str, word: str) -> list[psutil.Process]:
        """Those on a host with this word in their command line."""
        return [one for one in self.network.processes(host) if word in " ".join(one.cmdline())]

    def _write(self) -> None:
        addresses = {host: self.network.add(host) for host in self._hosts}
        nodes = [f"NodeName={host} NodeAddr={address} CPUs=2 State=UNKNOWN" for host, address in addresses.items()]
        controller, port = os.uname().nodename, free_port()
        text = _CONFIGURATION.format(
            controller=controller, address=self.network.first, port=port, folder=self.folder, nodes="\n".join(nodes)
        )
        (self.folder / "slurm.conf").write_text(text)
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")  # which no plugin of ours uses
        names = {"127.0.0.1": "localhost", self.network.first: controller, **{b: a for a, b in addresses.items()}}
        (self.folder / "hosts").write_text("".join(f"{address} {name}\n" for address, name in names.items()))
        for name in ("state", *(f"spool-{host}" for host in self._hosts)):
            (self.folder / name).mkdir()

    def _start(self, command: list[str], name: str) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            started = subprocess.Popen(
                command, env={**os.environ, **self.environment}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._started.append(started)

    def _end(self) -> None:
        for host in self._hosts:
            self.network.remove(host)
        for process in self._started:
            process.kill()
            process.wait()

    def _log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")
