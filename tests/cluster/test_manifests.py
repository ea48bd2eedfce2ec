"""The shipped manifests pass every check that can be made without a cluster, and what a person mistypes is caught."""

from __future__ import annotations

import copy
import itertools
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from loopwright.errors import PlanError
from loopwright.runtime.manifests import check_manifest, require_file

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def schemas(repository: Path) -> Path:
    return repository / "cluster/schemas"


@pytest.fixture(scope="module")
def shipped(repository: Path) -> dict[str, Any]:
    return yaml.safe_load((repository / "cluster/kuberay/rayjob.yaml").read_text())


def cluster(job: dict[str, Any]) -> dict[str, Any]:
    return job["spec"]["rayClusterSpec"]


def workers(job: dict[str, Any]) -> dict[str, Any]:
    return cluster(job)["workerGroupSpecs"][0]


def head(job: dict[str, Any]) -> dict[str, Any]:
    return cluster(job)["headGroupSpec"]


def pod(group: dict[str, Any]) -> dict[str, Any]:
    return group["template"]["spec"]


def setting(*path: str | int, to: Any) -> Edit:
    def edit(job: dict[str, Any]) -> None:
        place = job
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = to

    return edit


def without(*path: str | int) -> Edit:
    def edit(job: dict[str, Any]) -> None:
        place = job
        for part in path[:-1]:
            place = place[part]
        del place[path[-1]]

    return edit


RAY = ("spec", "rayClusterSpec")
HEAD, WORKERS = (*RAY, "headGroupSpec"), (*RAY, "workerGroupSpecs", 0)


@pytest.mark.parametrize("name", ["rayjob.yaml", "raycluster.yaml", "networkpolicy.yaml", "storage.yaml"])
def test_what_ships_is_right(repository: Path, schemas: Path, name: str) -> None:
    assert check_manifest(repository / "cluster/kuberay" / name, schemas) == ()
    require_file(repository / "cluster/kuberay" / name, f"kuberay/{name}", schemas)


def test_the_schemas_are_schemas_and_closed(schemas: Path) -> None:
    def objects(node: Any) -> Iterator[dict[str, Any]]:
        if isinstance(node, dict):
            if "properties" in node and node.get("type") == "object":
                yield node
            for child in node.values():
                yield from objects(child)
        elif isinstance(node, list):
            for child in node:
                yield from objects(child)

    files = sorted(schemas.rglob("*.json"))
    assert len(files) == 5
    for file in files:
        schema = json.loads(file.read_text())
        Draft202012Validator.check_schema(schema)
        assert all(found["additionalProperties"] is False for found in objects(schema))


@pytest.mark.parametrize(
    ("edit", "key", "message"),
    [
        (setting(*WORKERS, "maxReplica", to=4), "workerGroupSpecs[0].maxReplica", "did you mean maxReplicas?"),
        (setting("spec", "shutdownAfterJobFinishes", to="yes"), "spec.shutdownAfterJobFinishes", "is not of type 'boolean'"),
        (setting("spec", "submissionMode", to="K8sJob"), "spec.submissionMode", "is not one of"),
        (setting(*WORKERS, "replicas", to="4"), "workerGroupSpecs[0].replicas", "is not of type 'integer'"),
        (setting(*HEAD, "rayStartParams", "num-cpus", to=0), "rayStartParams.num-cpus", "is not of type 'string'"),
        (setting(*HEAD, "template", "spec", "containers", 0, "env", 1, "value", to=1), "env[1].value", "is not of type 'string'"),
        (setting(*HEAD, "template", "spec", "volumeMount", to=[]), "spec.volumeMount", "did you mean volumes?"),
        (setting(*WORKERS, "template", "spec", "containers", to=[]), "spec.containers", "should be non-empty"),
        (setting(*WORKERS, "template", "spec", "containers", 0, "resources", "limits", "memory", to="16GB"), "limits.memory", "not a valid"),
        (setting("apiVersion", to="ray.io/v2"), "kind", "ray.io/v2 RayJob cannot be checked offline"),
        (without(*WORKERS, "groupName"), "workerGroupSpecs[0]", "'groupName' is a required property"),
    ],
)  # fmt: skip
def test_the_schema_catches(edit: Edit, key: str, message: str, shipped: dict, schemas: Path, tmp_path: Path) -> None:
    [problem] = checked(shipped, edit, schemas, tmp_path)
    assert problem.key.endswith(key)
    assert message in problem.message


@pytest.mark.parametrize(
    ("edit", "key", "message"),
    [
        (setting("metadata", to={"name": "Loop_wright"}), "metadata.name", "lower-case letters"),
        (setting("metadata", to={"name": "a" * 48}), "metadata.name", "48 characters"),
        (setting("metadata", to={"generateName": "a" * 43}), "metadata.name", "48 characters"),
        (setting("metadata", to={}), "metadata", "has no name"),
        (without("spec", "entrypoint"), "spec", "needs an entrypoint"),
        (without("spec", "rayClusterSpec"), "spec", "needs rayClusterSpec or clusterSelector"),
        (setting("spec", "shutdownAfterJobFinishes", to=False), "ttlSecondsAfterFinished", "works only with"),
        (setting("spec", "deletionStrategy", to={"onSuccess": {"policy": "DeleteSelf"}}), "deletionStrategy", "only come together"),
        (
            setting("spec", "deletionStrategy", to={"deletionRules": [{"policy": "DeleteSelf", "condition": {}}]}),
            "deletionRules", "excludes",
        ),
        (setting("spec", "submissionMode", to="InteractiveMode"), "backoffLimit", "cannot retry"),
        (setting("spec", "submissionMode", to="HTTPMode"), "submitterPodTemplate", "no submitter pod"),
        (setting("spec", "submissionMode", to="SidecarMode"), "submitterConfig", "does not take it"),
        (setting("spec", "runtimeEnvYAML", to="- a"), "runtimeEnvYAML", "YAML mapping"),
        (setting("spec", "runtimeEnvYAML", to="a: ]"), "runtimeEnvYAML", "YAML mapping"),
        (without(*RAY, "rayVersion"), "rayVersion", "token authentication needs it"),
        (setting(*RAY, "rayVersion", to="2.51.2"), "rayVersion", "2.52 or later"),
        (setting(*RAY, "authOptions", to={"mode": "disabled"}), "authOptions", "mode: token is required"),
        (without(*RAY, "authOptions"), "authOptions", "mode: token is required"),
        (setting(*HEAD, "resources", to={"CPU": "0"}), "headGroupSpec.resources", "one of them"),
        (setting(*WORKERS, "rayStartParams", to={"labels": "a=b"}), "rayStartParams.labels", "own labels"),
        (setting(*WORKERS, "replicas", to=9), "replicas", "not between 4 and 4"),
        (setting(*HEAD, "rayStartParams", to={}), "rayStartParams", 'num-cpus: "0"'),
        (setting(*WORKERS, "template", "spec", "hostNetwork", to=True), "hostNetwork", "isolation"),
        (setting(*WORKERS, "template", "spec", "securityContext", to={"runAsUser": 0}), "securityContext", "runAsNonRoot"),
        (setting(*WORKERS, "template", "spec", "containers", 0, "image", to="loopwright"), "image", "a version or a digest"),
        (setting(*WORKERS, "template", "spec", "containers", 0, "image", to="r:5000/loopwright:latest"), "image", "a version or"),
        (setting(*HEAD, "template", "spec", "initContainers", 0, "securityContext", to={}), "securityContext", "allowPrivilege"),
        (setting(*HEAD, "template", "spec", "volumes", 2, to={"name": "other", "emptyDir": {}}), "volumeMounts[1].name", "no volume 'keys'"),
    ],
    ids=(f"rule-{number}" for number in itertools.count()),
)  # fmt: skip
def test_the_rules_catch(edit: Edit, key: str, message: str, shipped: dict, schemas: Path, tmp_path: Path) -> None:
    problems = checked(shipped, edit, schemas, tmp_path)
    assert [problem for problem in problems if problem.key.endswith(key) and message in problem.message], problems


def test_workers_hold_no_secret_and_have_shared_memory(shipped: dict, schemas: Path, tmp_path: Path) -> None:
    def edit(job: dict[str, Any]) -> None:
        pod(workers(job))["volumes"] = [{"name": "workspace", "secret": {"secretName": "loopwright-keys"}}]
        pod(workers(job))["containers"][0]["volumeMounts"].pop()

    said = [problem.message for problem in checked(shipped, edit, schemas, tmp_path)]
    assert any("no secret or host path there" in message for message in said)
    assert any("/dev/shm" in message for message in said)


def test_two_groups_need_two_names_and_the_autoscaler_its_policy(shipped: dict, schemas: Path, tmp_path: Path) -> None:
    def edit(job: dict[str, Any]) -> None:
        cluster(job)["enableInTreeAutoscaling"] = True
        pod(head(job))["restartPolicy"] = "Always"
        cluster(job)["workerGroupSpecs"].append(copy.deepcopy(workers(job)))

    said = [problem.message for problem in checked(shipped, edit, schemas, tmp_path)]
    assert said == ["autoscaler v2 needs Never", "'workers' names two groups"]


def checked(shipped: dict, edit: Edit, schemas: Path, tmp_path: Path) -> tuple:
    job = copy.deepcopy(shipped)
    edit(job)
    path = tmp_path / "rayjob.yaml"
    path.write_text(yaml.safe_dump(job, sort_keys=False))
    return check_manifest(path, schemas)


def test_a_problem_names_its_line(repository: Path, schemas: Path, tmp_path: Path) -> None:
    lines = (repository / "cluster/kuberay/rayjob.yaml").read_text().splitlines()
    at = next(number for number, line in enumerate(lines) if "maxReplicas" in line)
    lines[at] = lines[at].replace("maxReplicas", "maxReplica")
    lines.insert(at, lines[at - 1])
    path = tmp_path / "rayjob.yaml"
    path.write_text("\n".join(lines))
    twice, unknown = check_manifest(path, schemas)
    assert (twice.line, unknown.line) == (at + 1, at + 2)
    assert "occurs twice" in twice.message
    assert str(unknown).startswith(f"{path}:{at + 2}: spec.rayClusterSpec.workerGroupSpecs[0].maxReplica: no such field")
    with pytest.raises(PlanError, match="did you mean maxReplicas") as caught:
        require_file(path, f"kuberay/{path.name}", schemas)
    assert "nothing was sent" in caught.value.next_step


@pytest.mark.parametrize(("text", "message"), [("a: [", "no YAML"), ("", "holds no document"), (None, "cannot be read")])
def test_what_is_no_manifest(text: str | None, message: str, schemas: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(PlanError, match=message):
        check_manifest(path, schemas)


def test_a_list_is_no_manifest(schemas: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("- a\n")
    assert "a manifest is a mapping" in check_manifest(path, schemas)[0].message


def test_the_entrypoint_retries_failures_and_not_answers(shipped: dict, tmp_path: Path) -> None:
    """Exit 4 (waits for a person) and 6 (halted) are answers: a retry would cost a cluster and change nothing."""
    command = (
        shipped["spec"]["entrypoint"].replace("/workspace", str(tmp_path)).replace("loopwright run", "sh -c 'exit $ASKED'")
    )
    for asked, given in {0: 0, 1: 1, 4: 0, 5: 5, 6: 0, 7: 7}.items():
        done = subprocess.run(["sh", "-c", command], check=False, env={"ASKED": str(asked), "PATH": "/usr/bin:/bin"})
        assert done.returncode == given
