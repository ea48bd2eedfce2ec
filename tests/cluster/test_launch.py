"""Every launcher's files pass their checks as shipped and as set; what is mistyped is caught before anything is sent."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from loopwright.errors import PlanError, UsageError
from loopwright.runtime.manifests import check_manifest, check_script, require_file
from loopwright.runtime.places import commands, read_places, render


@pytest.fixture(scope="module")
def folder(repository: Path) -> Path:
    return repository / "cluster"


def written(directory: Path, rendered: dict[str, str], folder: Path) -> None:
    for name, text in rendered.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
        require_file(directory / name, name, folder / "schemas")


SET: dict[str, tuple[dict[str, Any], list[str]]] = {
    "kuberay": ({"image": "registry.example/lab/loopwright:1.2", "workers": 8, "hours": 2, "gpus": 4, "queue": "research"}, ["gpu", "kueue"]),
    "kuberay-cluster": ({"workers": 3, "storage": "1Ti"}, ["gpu"]),
    "slurm": ({"nodes": 4, "gpus": 8}, []),
    "sky": ({"nodes": 4, "gpus": "H100:8", "bucket": "s3://lab/loop"}, []),
    "vm-aws": ({"workers": 3, "region": "us-east-1", "zone": "us-east-1a"}, []),
    "vm-gcp": ({"workers": 3, "project": "lab"}, []),
    "vm-onprem": ({"head": "198.51.100.1", "workers": ["198.51.100.2"]}, []),
}  # fmt: skip


def test_every_place_with_files_is_tried_here(folder: Path) -> None:
    assert {name for name, place in read_places(folder).items() if place.files} == set(SET)


@pytest.mark.parametrize("name", SET)
def test_what_ships_and_what_is_set_passes(name: str, folder: Path, tmp_path: Path) -> None:
    place = read_places(folder)[name]
    written(tmp_path / "shipped", render(folder, place, {}, []), folder)
    values, overlays = SET[name]
    rendered = render(folder, place, values, overlays)
    written(tmp_path / "set", rendered, folder)
    text = "\n".join(rendered.values()) + str(commands(place, values, dict.fromkeys(("dir", "workspace", "keys"), tmp_path)))
    for value in values.values():
        assert str(value if value != 2 else 7200) in text or value == ["198.51.100.2"]


def test_values_reach_every_key_that_they_are_for(folder: Path) -> None:
    values, overlays = SET["kuberay"]
    job = yaml.safe_load(render(folder, read_places(folder)["kuberay"], values, overlays)["kuberay/rayjob.yaml"])
    group = job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]
    assert (group["replicas"], group["minReplicas"], group["maxReplicas"]) == (8, 8, 8)
    assert group["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 4
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "research"
    assert job["spec"]["activeDeadlineSeconds"] == 7200
    assert str(job).count("registry.example/lab/loopwright:1.2") == 4
    assert "loopwright:0.1.0" not in str(job)


def test_a_value_never_becomes_structure(folder: Path) -> None:
    hostile = "x\n  privileged: true #"
    place = read_places(folder)["kuberay"]
    job = yaml.safe_load(render(folder, place, {"image": hostile}, [])["kuberay/rayjob.yaml"])
    assert job["spec"]["submitterPodTemplate"]["spec"]["containers"][0]["image"] == hostile
    assert "privileged" not in job["spec"]["submitterPodTemplate"]["spec"]["containers"][0]
    known = {"dir": Path("d"), "workspace": Path("w; touch x"), "keys": Path("k")}
    assert commands(read_places(folder)["slurm"], {"time": "1; rm -rf /"}, known)[0][2:4] == [
        "w; touch x",
        "--time=1; rm -rf /",
    ]
    assert commands(read_places(folder)["vm-onprem"], {}, known)[-1][-1].endswith("--workspace 'w; touch x'"), (
        "a shell reads it"
    )


def test_what_is_mistyped_is_said(folder: Path, tmp_path: Path) -> None:
    places = read_places(folder)
    with pytest.raises(UsageError, match="no such setting here"):
        render(folder, places["kuberay"], {"worker": 3}, [])
    with pytest.raises(UsageError, match="no such overlay"):
        render(folder, places["sky"], {}, ["gpu"])
    with pytest.raises(PlanError, match=r"rayjob.yaml:\d+: spec.rayClusterSpec.workerGroupSpecs\[0\].replicas"):
        written(tmp_path, render(folder, places["kuberay"], {"workers": "many"}, []), folder)


@pytest.mark.parametrize(
    ("name", "before", "after", "message"),
    [
        ("vm/aws.yaml", "RAY_AUTH_MODE=token ", "", "RAY_AUTH_MODE=token is required"),
        ("vm/aws.yaml", "127.0.0.1", "0.0.0.0", "the dashboard belongs on 127.0.0.1"),
        ("vm/aws.yaml", "resources: {CPU: 0}", "resources: {}", "CPU: 0 is required"),
        ("vm/aws.yaml", "max_workers: 4\nidle", "max_worker: 4\nidle", "did you mean max_workers?"),
        ("vm/gcp.yaml", "type: gcp", "typ: gcp", "'type' is a required property"),
        ("vm/onprem.yaml", "  ~/.ray/auth_token: ~/.ray/auth_token", "  ~/a: ~/b", "auth_token is required"),
        ("vm/onprem.yaml", "--num-cpus=0", "--num-cpus=0; export PASSWORD=hunter2hunter2", "looks like a secret"),
        ("vm/onprem.yaml", " --autoscaling-config=~/ray_bootstrap_config.yaml", "", "the head starts no worker"),
        ("sky/task.yaml", "RAY_AUTH_MODE: token", "RAY_AUTH_MODE: none", "RAY_AUTH_MODE: token is required"),
        ("sky/task.yaml", "num_nodes: 2", "nodes: 2", "no such field"),
        ("sky/task.yaml", "RAY_PORT=6390", "RAY_PORT=6380", "SkyPilot's own Ray's"),
        ("kuberay/raycluster.yaml", "mode: token ", "mode: none ", "is not one of"),
        ("kuberay/raycluster.yaml", 'num-cpus: "0"', 'num-cpus: "4"', 'num-cpus: "0" is required'),
        ("kuberay/networkpolicy.yaml", "podSelector:", "podSelektor:", "no such field"),
    ],
)  # fmt: skip
def test_the_checks_can_fail(name: str, before: str, after: str, message: str, folder: Path, tmp_path: Path) -> None:
    text = (folder / name).read_text()
    assert before in text
    path = tmp_path / "broken.yaml"
    path.write_text(text.replace(before, after, 1))
    problems = check_manifest(path, folder / "schemas", name.partition("/")[0])
    assert any(message in str(problem) for problem in problems), problems


def test_a_broken_script_is_not_sent(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "loopwright.sbatch"
    path.write_text((folder / "slurm/loopwright.sbatch").read_text().replace("esac", "", 1))
    assert check_script(path)
    with pytest.raises(PlanError, match=r"loopwright.sbatch:\d+"):
        require_file(path, "slurm/loopwright.sbatch", folder / "schemas")


def test_slurms_log_is_no_change_of_the_workspace(folder: Path) -> None:
    """A driver refuses to run where something is not committed; ``.loopwright`` is git's to ignore."""
    assert "#SBATCH --output=.loopwright/" in (folder / "slurm/loopwright.sbatch").read_text()


class Slurm:
    """The script as Slurm runs it, with commands of Slurm's that say what they were asked; the driver is a stand-in of one line."""

    def __init__(self, folder: Path, tmp_path: Path, driver: str, sees: str = "exec", **environment: str) -> None:
        self.said, self.workspace = tmp_path / "said", tmp_path / "lab"
        self.workspace.mkdir()
        commands = {
            "srun": f'echo "srun $*" >>{self.said}; while [[ $1 == --* ]]; do shift; done; {sees} "$@"',
            "scontrol": f'echo "scontrol $*" >>{self.said}; echo node1',
            "driver": f'if [ "$1" = -c ]; then exec python3 "$@"; fi; stat -c "mode %a" "$RAY_AUTH_TOKEN_PATH" >>{self.said}; {driver}',
        }
        for name, body in commands.items():
            path = tmp_path / name
            path.write_text(f"#!/bin/bash\n{body}\n")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        environment = {
            **os.environ,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "LOOPWRIGHT_PYTHON": str(tmp_path / "driver"),
            "SLURM_SUBMIT_DIR": str(self.workspace), "SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "1", "SLURM_JOB_NODELIST": "node1",
            **environment,
        }  # fmt: skip
        self.process = subprocess.Popen(
            ["bash", str(folder / "slurm/loopwright.sbatch")], env=environment, stderr=subprocess.PIPE, text=True
        )

    def end(self) -> tuple[int, str, str]:
        _, errors = self.process.communicate(timeout=30)
        assert not list((self.workspace / ".loopwright/slurm").iterdir()), "token and canary are gone"
        return self.process.returncode, errors, self.said.read_text()


@pytest.mark.parametrize(("ended", "code"), [(0, 0), (1, 1), (4, 0), (6, 0), (7, 7)])
def test_slurm_takes_an_answer_for_done_and_a_failure_for_one(ended: int, code: int, folder: Path, tmp_path: Path) -> None:
    got, _, said = Slurm(folder, tmp_path, f"exit {ended}").end()
    assert got == code
    assert "mode 600" in said
    assert "symmetric-run --address node1:6379 --min-nodes 1" in said
    assert "token" not in said.replace("RAY_AUTH_TOKEN", "")


def test_a_node_that_does_not_see_the_workspace_ends_the_job_before_anything_runs(folder: Path, tmp_path: Path) -> None:
    code, errors, said = Slurm(folder, tmp_path, "exit 0", sees="false").end()
    assert code == 1
    assert "not every node sees" in errors
    assert "symmetric-run" not in said


def test_a_preempted_job_goes_back_into_the_queue(folder: Path, tmp_path: Path) -> None:
    slurm = Slurm(folder, tmp_path, "trap 'exit 143' TERM; sleep 20 2>&- & wait")
    waiting = time.monotonic() + 15
    while not (slurm.said.exists() and "mode 600" in slurm.said.read_text()) and time.monotonic() < waiting:
        time.sleep(0.05)
    slurm.process.send_signal(10)
    code, errors, said = slurm.end()
    assert "scontrol requeue 7" in said
    assert "queued again" in errors
    assert code != 0


def test_before_the_nodes_go_the_driver_alone_is_told(folder: Path, tmp_path: Path) -> None:
    """Ray must live on while training saves: what `srun` forwards would end it on all nodes."""
    tell = "import os, pathlib, signal, sys\nsaid = pathlib.Path(os.environ['SAID'])\n"
    tell += "def told(*_):\n    said.open('a').write(f'{sys.argv[0]} was told\\n')\n    sys.exit(143)\nsignal.signal(signal.SIGTERM, told)\n"
    parts = {
        **dict.fromkeys(("ray/__init__.py", "ray/scripts/__init__.py", "loopwright/__init__.py"), ""),
        "ray/scripts/scripts.py": f"{tell}import subprocess\nsys.exit(subprocess.call(sys.argv[sys.argv.index('--') + 1:]))\n",
        "loopwright/__main__.py": f"{tell}said.open('a').write('at work\\n')\nsignal.pause()\n",
    }
    for name, text in parts.items():
        (tmp_path / "parts" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "parts" / name).write_text(text)
    said = tmp_path / "parts/said"
    environment = {"LOOPWRIGHT_PYTHON": sys.executable, "PYTHONPATH": str(tmp_path / "parts"), "SAID": str(said)}
    slurm = Slurm(folder, tmp_path, "", **environment)
    waiting = time.monotonic() + 15
    while not said.exists() and time.monotonic() < waiting:
        time.sleep(0.05)
    slurm.process.send_signal(signal.SIGUSR1)
    assert slurm.end()[0] == 143
    assert said.read_text().splitlines() == ["at work", f"{tmp_path}/parts/loopwright/__main__.py was told"]
