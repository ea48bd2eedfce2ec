"""Rules about a RayJob that a schema cannot say, as functions from the document to findings.

`OPERATOR` are the operator's own (KubeRay 1.7, ``ray-operator/controllers/ray/utils/validation.go``): a job that breaks
one is accepted by the API server and then never starts. `HOUSE` are Loopwright's: token authentication, no work on the
head, shared memory, no root, keys out of the workers' reach, images that say which version they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml

__all__ = ["HOUSE", "OPERATOR", "Finding", "cluster_findings", "job_findings"]

Finding = tuple[tuple[str | int, ...], str]
"""Where (keys and indices from the document's root) and what is wrong there."""

Document = Mapping[str, Any]

CLUSTER = ("spec", "rayClusterSpec")
SIZES = {"num-cpus", "num-gpus", "memory", "resources"}
SHARED_MEMORY = "/dev/shm"  # noqa: S108  # a mount point, not a place for files
NAME_LENGTH = 47
"""The operator appends 6 characters for the cluster and 10 for its service; a label holds 63."""


def job_findings(document: Document) -> Iterator[Finding]:
    """All findings about a RayJob that has passed its schema."""
    for rule in (*OPERATOR, *HOUSE):
        yield from rule(document)


def cluster_findings(document: Document) -> Iterator[Finding]:
    """All findings about a RayCluster that has passed its schema: those of a RayJob that had it inside."""
    inside = {**document, "spec": {"entrypoint": "", "rayClusterSpec": document["spec"]}}
    for place, message in job_findings(inside):
        yield (place if place[: len(CLUSTER)] != CLUSTER else ("spec", *place[len(CLUSTER) :])), message


def _cluster(document: Document) -> Mapping[str, Any]:
    return document["spec"].get("rayClusterSpec", {})


def _groups(document: Document) -> Iterator[tuple[tuple[str | int, ...], Mapping[str, Any]]]:
    """Head first, then the workers, each with its place."""
    cluster = _cluster(document)
    if cluster:
        yield (*CLUSTER, "headGroupSpec"), cluster["headGroupSpec"]
    for index, group in enumerate(cluster.get("workerGroupSpecs", ())):
        yield (*CLUSTER, "workerGroupSpecs", index), group


def _pods(document: Document) -> Iterator[tuple[tuple[str | int, ...], Mapping[str, Any]]]:
    """Every pod template's spec, the submitter's among them."""
    for place, group in _groups(document):
        yield (*place, "template", "spec"), group["template"]["spec"]
    submitter = document["spec"].get("submitterPodTemplate")
    if submitter:
        yield ("spec", "submitterPodTemplate", "spec"), submitter["spec"]


def _containers(document: Document) -> Iterator[tuple[tuple[str | int, ...], Mapping[str, Any], Mapping[str, Any]]]:
    """Every container, those that run first among them, with its place and its pod."""
    for place, pod in _pods(document):
        for kind in ("initContainers", "containers"):
            for index, container in enumerate(pod.get(kind, ())):
                yield (*place, kind, index), container, pod


def _name(document: Document) -> Iterator[Finding]:
    metadata = document["metadata"]
    if "name" not in metadata and "generateName" not in metadata:
        yield ("metadata",), "has no name"
        return
    name = metadata.get("name") or metadata["generateName"] + "xxxxx"  # the API server appends five characters
    if not re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name):
        yield ("metadata", "name"), f"{name!r}: lower-case letters, digits and hyphens, a letter first"
    if len(name) > NAME_LENGTH:
        yield ("metadata", "name"), f"{len(name)} characters; the operator takes {NAME_LENGTH}"


def _where(document: Document) -> Iterator[Finding]:
    spec = document["spec"]
    if "rayClusterSpec" not in spec and not spec.get("clusterSelector"):
        yield ("spec",), "needs rayClusterSpec or clusterSelector"
    if "entrypoint" not in spec and spec.get("submissionMode") != "InteractiveMode":
        yield ("spec",), "needs an entrypoint"


def _cleanup(document: Document) -> Iterator[Finding]:
    spec = document["spec"]
    shutdown = spec.get("shutdownAfterJobFinishes", False)
    lifetime = spec.get("ttlSecondsAfterFinished", 0)
    strategy = spec.get("deletionStrategy", {})
    if spec.get("suspend") and not shutdown:
        yield ("spec", "suspend"), "a suspended job needs shutdownAfterJobFinishes: true"
    if lifetime and not shutdown:
        yield ("spec", "ttlSecondsAfterFinished"), "works only with shutdownAfterJobFinishes: true"
    if "deletionRules" in strategy and (shutdown or lifetime or strategy.keys() & {"onSuccess", "onFailure"}):
        yield (
            ("spec", "deletionStrategy", "deletionRules"),
            "excludes shutdownAfterJobFinishes, its ttl, onSuccess and onFailure",
        )
    if len(strategy.keys() & {"onSuccess", "onFailure"}) == 1:
        yield ("spec", "deletionStrategy"), "onSuccess and onFailure only come together"


def _submission(document: Document) -> Iterator[Finding]:
    spec = document["spec"]
    mode = spec.get("submissionMode", "K8sJobMode")
    if mode == "InteractiveMode" and spec.get("backoffLimit"):
        yield ("spec", "backoffLimit"), "InteractiveMode cannot retry"
    for key in ("submitterPodTemplate", "submitterConfig", "clusterSelector"):
        if mode == "SidecarMode" and key in spec:
            yield ("spec", key), "SidecarMode does not take it"
    if mode in {"HTTPMode", "InteractiveMode"} and "submitterPodTemplate" in spec:
        yield ("spec", "submitterPodTemplate"), f"{mode} has no submitter pod; it would be ignored"
    try:
        environment = yaml.safe_load(spec.get("runtimeEnvYAML", "{}"))
    except yaml.YAMLError as error:
        environment = error
    if not isinstance(environment, dict):
        yield ("spec", "runtimeEnvYAML"), "must hold a YAML mapping"


def _authentication(document: Document) -> Iterator[Finding]:
    cluster = _cluster(document)
    options = cluster.get("authOptions")
    if options is None or options.get("mode", "token") != "token":
        return
    version = re.match(r"(\d+)\.(\d+)", str(cluster.get("rayVersion", "")))
    if version is None:
        yield (*CLUSTER, "rayVersion"), "token authentication needs it, for example 2.60.0"
    elif (int(version[1]), int(version[2])) < (2, 52):
        yield (*CLUSTER, "rayVersion"), f"token authentication needs Ray 2.52 or later, not {cluster['rayVersion']}"


def _sizes(document: Document) -> Iterator[Finding]:
    for place, group in _groups(document):
        parameters = group.get("rayStartParams", {})
        if group.get("resources") and parameters.keys() & SIZES:
            yield (*place, "resources"), "set here and in rayStartParams; the operator takes one of them"
        if "labels" in parameters:
            yield (*place, "rayStartParams", "labels"), "belongs in the group's own labels"


def _replicas(document: Document) -> Iterator[Finding]:
    names: set[str] = set()
    for place, group in list(_groups(document))[1:]:
        least, most = group.get("minReplicas", 0), group.get("maxReplicas", 2**31 - 1)
        if not least <= group.get("replicas", least) <= most:
            yield (*place, "replicas"), f"{group.get('replicas', least)} is not between {least} and {most}"
        if group["groupName"] in names:
            yield (*place, "groupName"), f"{group['groupName']!r} names two groups"
        names.add(group["groupName"])


def _autoscaling(document: Document) -> Iterator[Finding]:
    cluster = _cluster(document)
    if not cluster.get("enableInTreeAutoscaling") or cluster.get("autoscalerOptions", {}).get("version") == "v1":
        return
    for place, group in _groups(document):
        policy = group["template"]["spec"].get("restartPolicy", "Never")
        if policy != "Never":
            yield (*place, "template", "spec", "restartPolicy"), "autoscaler v2 needs Never"
        if group.get("suspend"):
            yield (*place, "suspend"), "a group cannot be suspended while the autoscaler runs"


def _mounts(document: Document) -> Iterator[Finding]:
    for place, container, pod in _containers(document):
        volumes = {volume["name"] for volume in pod.get("volumes", ())}
        for index, mount in enumerate(container.get("volumeMounts", ())):
            if mount["name"] not in volumes:
                yield (*place, "volumeMounts", index, "name"), f"no volume {mount['name']!r} in this pod"


def _token(document: Document) -> Iterator[Finding]:
    if _cluster(document) and _cluster(document).get("authOptions", {}).get("mode") != "token":
        yield (*CLUSTER, "authOptions"), "mode: token is required: whoever reaches an open Ray port runs code in this cluster"


def _idle_head(document: Document) -> Iterator[Finding]:
    for place, head in list(_groups(document))[:1]:
        if head.get("rayStartParams", {}).get("num-cpus") != "0":
            yield (*place, "rayStartParams"), 'num-cpus: "0" is required: the head holds the driver and its keys, not the work'


def _memory(document: Document) -> Iterator[Finding]:
    for place, group in _groups(document):
        pod = group["template"]["spec"]
        shared = {volume["name"] for volume in pod.get("volumes", ()) if volume.get("emptyDir", {}).get("medium") == "Memory"}
        mounts = {
            mount["name"] for mount in pod["containers"][0].get("volumeMounts", ()) if mount["mountPath"] == SHARED_MEMORY
        }
        if not shared & mounts:
            yield (
                (*place, "template", "spec"),
                "mount an emptyDir with medium: Memory at /dev/shm; the default of 64 MiB is too small",
            )


def _no_root(document: Document) -> Iterator[Finding]:
    for place, pod in _pods(document):
        if pod.get("securityContext", {}).get("runAsNonRoot") is not True:
            yield (*place, "securityContext"), "runAsNonRoot: true is required"
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.get(key):
                yield (*place, key), "not allowed: it takes the pod out of its isolation"
    for place, container, _ in _containers(document):
        context = container.get("securityContext", {})
        if context.get("privileged") or context.get("allowPrivilegeEscalation") is not False:
            yield (*place, "securityContext"), "allowPrivilegeEscalation: false is required"


def _keys(document: Document) -> Iterator[Finding]:
    for place, group in list(_groups(document))[1:]:
        for index, volume in enumerate(group["template"]["spec"].get("volumes", ())):
            if volume.keys() & {"secret", "projected", "hostPath"}:
                yield (
                    (*place, "template", "spec", "volumes", index),
                    "workers run what models propose; no secret or host path there",
                )


def _image(document: Document) -> Iterator[Finding]:
    for place, container, _ in _containers(document):
        image = container.get("image", "")
        name, _, tag = image.rpartition("/")[2].partition(":")
        if "@sha256:" not in image and (not name or tag in {"", "latest"}):
            yield (*place, "image"), f"{image or 'no image'!r}: name a version or a digest, not what is latest"


QUEUE = "kueue.x-k8s.io/queue-name"


def _queue(document: Document) -> Iterator[Finding]:
    """Kueue's webhook takes neither a job that keeps its cluster nor one that uses another's."""
    spec, labels = document["spec"], document["metadata"].get("labels", {})
    if QUEUE in labels and not spec.get("shutdownAfterJobFinishes"):
        yield ("spec", "shutdownAfterJobFinishes"), "Kueue needs true"
    if QUEUE in labels and "clusterSelector" in spec:
        yield ("spec", "clusterSelector"), "Kueue does not take it"


Rule = Callable[[Document], Iterator[Finding]]

OPERATOR: tuple[Rule, ...] = (
    _name, _where, _cleanup, _submission, _authentication, _sizes, _replicas, _autoscaling, _mounts, _queue,
)  # fmt: skip
HOUSE: tuple[Rule, ...] = (_token, _idle_head, _memory, _no_root, _keys, _image)
