"""A loop on machines of one's own by `loopwright launch --on vm-onprem`: Ray's launcher, real SSH, a head without work and a worker."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.conftest import Calm, OnServer
from tests.cluster.network import Network, possible, until
from tests.run.test_resume import outcome

pytestmark = [pytest.mark.slow, pytest.mark.ray]

NAME = f"loopwright-{os.getpid()}"
SSHD = """
HostKey {folder}/hostkey
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
"""
HOST = """
mount --bind "$1" /etc/passwd
/usr/sbin/sshd -D -e -f "$2"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """Two of them, and how to reach them."""

    network: Network
    addresses: dict[str, str]
    home: Path
    """Of the person who launches."""
    homes: Path
    """Of the user on the machines, a folder each."""


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    if not possible() or not Path("/usr/sbin/sshd").exists():
        pytest.skip("machines of one's own need network namespaces, and so root, and openssh-server")
    folder, started = tmp_path / "ssh", list[subprocess.Popen[bytes]]()
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    folder.mkdir()
    for key in (folder / "hostkey", home / ".ssh/id_ed25519"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (folder / "key.pub").write_text((home / ".ssh/id_ed25519.pub").read_text())
    (folder / "sshd").write_text(SSHD.format(folder=folder))
    Path("/run/sshd").mkdir(exist_ok=True)
    with Network() as network:
        addresses = {name: network.add(name) for name in ("head", "worker")}
        (folder / "hosts").write_text("127.0.0.1 localhost\n" + "".join(f"{a} {name}\n" for name, a in addresses.items()))
        for name in addresses:
            own = tmp_path / "homes" / name
            own.mkdir(parents=True)
            (own / "loopwright").symlink_to(sys.prefix)
            passwd = folder / f"{name}.passwd"
            # First, so that ssh takes this home for that of whoever runs there.
            passwd.write_text(f"loopwright:x:0:0::{own}:/bin/bash\n" + Path("/etc/passwd").read_text())
            command = network.boot(name, folder / "hosts", HOST, str(passwd), str(folder / "sshd"))
            with (folder / f"{name}.log").open("wb") as log:
                started.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        try:
            yield Machines(network=network, addresses=addresses, home=home, homes=tmp_path / "homes")
        finally:
            for name in addresses:
                network.remove(name)
            for one in started:
                one.wait()


def test_a_loop_is_turned_on_machines_of_ones_own(machines: Machines, on_a_server: OnServer, single: Calm) -> None:
    workspace = on_a_server.workspace
    on_a_server.passwords.rename(machines.homes / "head/.pgpass")
    config = workspace.root / "cluster/vm/onprem.yaml"
    key = machines.home / ".ssh/id_ed25519"  # ssh knows a person's home better than the environment
    told = (
        config.read_text().replace("~/.ssh/id_ed25519", str(key)).replace("cluster_name: loopwright", f"cluster_name: {NAME}")
    )
    config.write_text(told)
    subprocess.run(["git", "commit", "-qam", "our machines"], cwd=workspace.root, check=True)
    environment = {**os.environ, "HOME": str(machines.home)}
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    subprocess.run([*ray, "get-auth-token", "--generate"], env=environment, check=True, capture_output=True)
    head, worker = machines.addresses.values()
    words = ["launch", "--on", "vm-onprem", "--set", f"head={head}", "--set", f"workers=[{worker}]"]
    command = [sys.executable, "-m", "loopwright", *words]
    done = subprocess.run(command, cwd=workspace.root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    until(
        lambda: workspace.state().cycles.get("c0001") is not None and workspace.state().open is None, lambda: done.stdout, 300
    )
    assert outcome(workspace) == single.outcome
