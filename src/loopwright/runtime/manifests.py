"""Checks a launcher's file without a cluster: what the API server, the operator, `ray up` or Loopwright would refuse.

Three passes over a YAML file, each with the line of what it names: keys that occur twice, the closed schemas below
``cluster/schemas/`` and Ray's own (a misspelt field is an error, not a silent default), and the rules that no schema can
say (`loopwright.runtime.rayjob`, `loopwright.runtime.hosts`). A script is read by its shell. Nothing is fetched and
nothing is sent.
"""

from __future__ import annotations

import difflib
import json
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator, Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from loopwright.errors import PlanError
from loopwright.runtime.hosts import host_findings, ray_schema, task_findings
from loopwright.runtime.rayjob import Finding, cluster_findings, job_findings

__all__ = ["Problem", "check_manifest", "check_script", "require_file"]

SCHEMAS: Mapping[tuple[str, str], str] = {
    ("ray.io/v1", "RayJob"): "kuberay-1.7/rayjob.json",
    ("ray.io/v1", "RayCluster"): "kuberay-1.7/raycluster.json",
    ("networking.k8s.io/v1", "NetworkPolicy"): "kubernetes-1.28/networkpolicy.json",
    ("v1", "PersistentVolumeClaim"): "kubernetes-1.28/persistentvolumeclaim.json",
}
"""Schema file, relative to the folder of schemas, by ``apiVersion`` and ``kind``."""

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong in a manifest."""

    file: str
    line: int
    """Counted from 1; the nearest enclosing key where the named one is absent."""
    key: str
    """Dotted path, for example ``spec.rayClusterSpec.workerGroupSpecs[0].maxReplicas``."""
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.key}: {self.message}"


def check_manifest(path: Path, schemas: Path, kind: str = "kuberay") -> tuple[Problem, ...]:
    """Everything wrong with the documents of one YAML file; empty where nothing is.

    Args:
        path: the manifest.
        schemas: the folder ``cluster/schemas``.
        kind: the folder of ``cluster/`` that it is from: ``kuberay``, ``vm`` or ``sky``.

    Raises:
        PlanError: the file cannot be read or is no YAML.
    """
    problems: list[Problem] = []
    for node, document in _documents(path):
        lines, twice = _lines(node)
        findings = [*twice, *_findings(document, schemas, kind)]
        problems += [
            Problem(file=str(path), line=_line(lines, place), key=_dotted(place), message=message)
            for place, message in findings
        ]
    return tuple(sorted(problems, key=lambda problem: (problem.line, problem.key)))


def check_script(path: Path) -> tuple[Problem, ...]:
    """What bash would stumble over in a script, without running it; empty where nothing is."""
    read = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True, check=False)
    found = re.finditer(r"line (\d+): (.*)", read.stderr) if read.returncode else ()
    return tuple(Problem(file=str(path), line=int(one[1]), key="script", message=one[2]) for one in found)


def require_file(path: Path, name: str, schemas: Path) -> None:
    """Check a launcher's file by the folder of ``cluster/`` that it is from, for a caller that goes on only where nothing is wrong.

    Raises:
        PlanError: with every problem, one a line.
    """
    kind = name.partition("/")[0]
    problems = check_script(path) if kind == "slurm" else check_manifest(path, schemas, kind)
    if problems:
        raise PlanError("\n".join(map(str, problems)), f"mend {path}; nothing was sent")


def _documents(path: Path) -> Iterator[tuple[yaml.Node, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
        nodes = [node for node in yaml.compose_all(text, Loader=yaml.SafeLoader) if node is not None]
        values = [value for value in yaml.safe_load_all(text) if value is not None]
    except OSError as error:
        raise PlanError(f"{path}: cannot be read: {error.strerror}", "name a manifest below cluster/") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PlanError(f"{path}: no YAML: {error}", "mend the file where the message points") from error
    if not values:
        raise PlanError(f"{path}: holds no document", "name a manifest below cluster/")
    return zip(nodes, values, strict=True)


def _findings(document: Any, schemas: Path, kind: str) -> Iterator[Finding]:
    if not isinstance(document, dict):
        yield (), f"is {type(document).__name__}; a manifest is a mapping"
        return
    try:
        schema, rules = _rules(document, schemas, kind)
    except KeyError as unknown:
        yield ("kind",), str(unknown.args[0])
        return
    broken = False
    for error in schema.iter_errors(document):
        broken = True
        yield from _explain(error)
    if not broken:  # the rules rely on the types that the schema has checked
        yield from rules(document)


def _rules(
    document: Mapping[str, Any], schemas: Path, kind: str
) -> tuple[Any, Callable[[Mapping[str, Any]], Iterable[Finding]]]:
    """The schema and the rules for a document; KeyError for one that is not known."""
    if kind == "vm":
        return Draft7Validator(ray_schema()), host_findings
    if kind == "sky":
        return _schema(schemas, "skypilot-0.14/task.json"), task_findings
    named = (str(document.get("apiVersion")), str(document.get("kind")))
    if named not in SCHEMAS:
        known = ", ".join(f"{version} {name}" for version, name in SCHEMAS)
        raise KeyError(f"{' '.join(named)} cannot be checked offline (known: {known})")
    rules = {"RayJob": job_findings, "RayCluster": cluster_findings}.get(named[1], lambda _: ())
    return _schema(schemas, SCHEMAS[named]), rules


def _schema(schemas: Path, name: str) -> Draft202012Validator:
    """A schema that may refer to its neighbours by file name."""
    path = schemas / name
    beside = [(file.name, DRAFT202012.create_resource(_json(file))) for file in path.parent.glob("*.json")]
    return Draft202012Validator(_json(path), registry=Registry().with_resources(beside))


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _explain(error: ValidationError) -> Iterator[Finding]:
    """A schema error in words; for an unknown key, the key that was probably meant."""
    place = tuple(error.absolute_path)
    schema: Any = error.schema
    found: Any = error.instance
    if error.validator == "additionalProperties" and "properties" in schema:
        known = sorted(schema["properties"])
        for name in sorted(set(found) - set(known)):
            near = difflib.get_close_matches(name, known, n=1)
            yield (*place, name), "no such field" + (f"; did you mean {near[0]}?" if near else "")
    elif error.validator == "anyOf":
        yield place, f"{found!r} is not a valid value here"
    else:
        yield place, error.message


def _lines(root: yaml.Node) -> tuple[dict[Place, int], list[Finding]]:
    """Line of every key and item, and the keys that occur twice in one mapping."""
    lines: dict[Place, int] = {}
    twice: list[Finding] = []
    todo: list[tuple[Place, yaml.Node]] = [((), root)]
    while todo:
        place, node = todo.pop()
        lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            todo += [((*place, index), child) for index, child in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, child in node.value:
                if key.value in seen:
                    twice.append(((*place, key.value), "occurs twice; the first value would be lost without a word"))
                seen.add(key.value)
                lines[*place, key.value] = key.start_mark.line + 1
                todo.append(((*place, key.value), child))
    return lines, twice


def _line(lines: Mapping[Place, int], place: Place) -> int:
    while place not in lines:
        place = place[:-1]
    return lines[place]


def _dotted(place: Place) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".") or "document"
