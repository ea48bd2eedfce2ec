"""Rules about ``ray up`` clusters and SkyPilot tasks that a schema cannot say, as functions from the document to findings.

A Ray port that answers without a token runs code for whoever reaches it (ShadowRay, CVE-2023-48022), so each of these
needs token authentication, a dashboard on the loopback interface, and no secret in the file itself.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from loopwright.runtime.rayjob import Finding

__all__ = ["host_findings", "ray_schema", "task_findings"]

Document = Mapping[str, Any]
STARTS = ("head_start_ray_commands", "worker_start_ray_commands")
_SECRET = re.compile(r"(?i)(password|secret|token|api_?key)\s*[=:]\s*['\"]?[A-Za-z0-9/+_-]{12,}")


def ray_schema() -> Any:
    """The JSON Schema of Ray's own launcher, from the installed Ray (which is not imported for it)."""
    found = importlib.util.find_spec("ray")
    place = Path(found.origin).parent if found and found.origin else Path()
    return json.loads((place / "autoscaler" / "ray-schema.json").read_text(encoding="utf-8"))


def host_findings(document: Document) -> Iterator[Finding]:
    """All findings about a cluster of ``ray up`` that has passed Ray's schema."""
    for key in STARTS:
        for index, command in enumerate(document.get(key, ())):
            if "ray start" in command and "RAY_AUTH_MODE=token" not in command:
                yield (key, index), "RAY_AUTH_MODE=token is required: whoever reaches an open Ray port runs code"
            if "ray start --head" in command and "--autoscaling-config=" not in command:
                yield (
                    (key, index),
                    "--autoscaling-config=~/ray_bootstrap_config.yaml is required: without it the head starts no worker",
                )
            if "--dashboard-host=0.0.0.0" in command:
                yield (key, index), "the dashboard belongs on 127.0.0.1; `ray dashboard` makes a tunnel to it"
    if "~/.ray/auth_token" not in document.get("file_mounts", {}):
        yield ("file_mounts",), "~/.ray/auth_token is required; `ray get-auth-token --generate` makes one"
    types = document.get("available_node_types", {})
    head = str(document.get("head_node_type"))
    if types and head not in types:
        yield ("head_node_type",), f"{head!r} is no key of available_node_types"
    elif types and types[head].get("resources", {}).get("CPU") != 0:
        yield (
            ("available_node_types", head, "resources"),
            "CPU: 0 is required: the head holds the driver and its keys, not the work",
        )
    yield from _written_secrets(document, ())


def task_findings(document: Document) -> Iterator[Finding]:
    """All findings about a SkyPilot task that has passed its schema."""
    run = document["run"]
    if document.get("envs", {}).get("RAY_AUTH_MODE") != "token":
        yield ("envs",), "RAY_AUTH_MODE: token is required: whoever reaches an open Ray port runs code"
    if re.search(r"^\s*ray stop", run, re.MULTILINE):
        yield ("run",), "`ray stop` would end SkyPilot's own Ray; ~/sky_templates/ray/stop_cluster ends yours"
    if re.search(r"RAY_PORT=6380\b|RAY_DASHBOARD_PORT=8266\b", run):
        yield ("run",), "6380 and 8266 are SkyPilot's own Ray's"
    yield from _written_secrets(document, ())


def _written_secrets(node: Any, place: tuple[str | int, ...]) -> Iterator[Finding]:
    """Secrets belong in files of mode 0600, never in what is sent, kept and shown."""
    if isinstance(node, str) and _SECRET.search(node):
        yield place, "looks like a secret; name a file (mode 0600) instead"
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from _written_secrets(child, (*place, key))
