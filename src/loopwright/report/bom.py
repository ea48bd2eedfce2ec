"""The bill of materials of a model, CycloneDX 1.7 (ECMA-424): the model, what it was made from, what it was trained with.

It is drawn from the claims of one document and from nothing else, so it tells an audience nothing that its document does
not. CycloneDX has no field for operations; they are properties ``loopwright:*``.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from loopwright.report.document import Document, FactShown
from loopwright.types import canonical

__all__ = ["NAME", "bill"]

NAME = "bom.cdx.json"
_NAMESPACE = uuid.UUID("6ba7b812-9dad-11d1-80b4-00c04fd430c8")
"""RFC 9562, appendix A: names that are object identifiers."""


def bill(document: Document) -> bytes | None:
    """The JSON of the bill, canonical; None where the document does not tell which model it is about."""
    facts = {fact.path: fact for claim in document.claims for fact in claim.facts if fact.value is not None}
    if "model.id" not in facts:
        return None
    model = _model(document, facts)
    parts = [*_parents(facts), *_data(facts), *_packages(facts)]
    name = f"{document.provenance.checkpoint.root} {document.document} {document.audience} {document.about.id}"
    told: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.7.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.7",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, name)}",
        "version": 1,
        "metadata": {
            "timestamp": document.about.as_of,
            "tools": {
                "components": [
                    {"type": "application", "name": "loopwright", "version": document.provenance.versions["loopwright"]}
                ]
            },
            "component": model,
        },
    }
    if parts:
        told["components"] = parts
        told["dependencies"] = [{"ref": model["bom-ref"], "dependsOn": [part["bom-ref"] for part in parts]}]
    return canonical(told)


def _model(document: Document, facts: Mapping[str, FactShown]) -> dict[str, Any]:
    """The machine-learning model with its card."""
    digest = str(facts["model.id"].value)
    model: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": f"model:{digest}",
        "name": str(_value(facts, "model.name") or document.about.loop),
        "version": str(_value(facts, "model.version") or document.about.cycle),
        "hashes": [_hash(digest)],
        "modelCard": _card(facts),
    }
    if files := [_file(path, sha) for path, sha, *_ in _rows(facts, "model.files")]:
        model["components"] = files
    if said := list(_properties(facts)):
        model["properties"] = said
    return model


def _card(facts: Mapping[str, FactShown]) -> dict[str, Any]:
    card: dict[str, Any] = {}
    parameters = {"architectureFamily": _value(facts, "model.family"), "modelArchitecture": _value(facts, "model.architecture")}
    kept: dict[str, Any] = {name: str(value) for name, value in parameters.items() if value is not None}
    if data := [{"ref": part["bom-ref"]} for part in _data(facts)]:
        kept["datasets"] = data
    for name, path in (("inputs", "model.input_modalities"), ("outputs", "model.output_modalities")):
        if formats := _value(facts, path):
            kept[name] = [{"format": str(one)} for one in formats]
    if kept:
        card["modelParameters"] = kept
    if metrics := list(_metrics(facts)):
        card["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    return card


def _metrics(facts: Mapping[str, FactShown]) -> Iterator[dict[str, Any]]:
    """Scores of the document, each with its interval."""
    for path in sorted(path for path in facts if path.startswith("eval.") and facts[path].show == "score"):
        score = facts[path].value
        yield {
            "type": f"{facts[path].label} ({score['method']}, n = {score['n']})",
            "value": str(score["value"]),
            "confidenceInterval": {"lowerBound": str(score["low"]), "upperBound": str(score["high"])},
        }


def _parents(facts: Mapping[str, FactShown]) -> Iterator[dict[str, Any]]:
    """Models whose weights it continues or whose answers it learnt from, each once; a model elsewhere is known by its name, and no file's hash is."""
    seen: set[str] = set()
    for path, relation in (
        ("model.weight_parents", "weights"),
        ("model.external_parents", "weights"),
        ("model.data_parents", "data"),
    ):
        for row in _table(facts, path):
            digest = str(row.get("model"))
            if not digest.startswith("sha256:") or digest in seen:
                continue
            seen.add(digest)
            yield {
                "type": "machine-learning-model",
                "bom-ref": f"model:{digest}",
                "name": f"{row.get('cycle') or row.get('name') or 'model'}",
                **({"hashes": [_hash(digest)]} if row.get("cycle") or relation == "weights" else {}),
                "properties": [{"name": "loopwright:parent-by", "value": relation}],
            }


def _data(facts: Mapping[str, FactShown]) -> list[dict[str, Any]]:
    """Data sets of the document, each digest once."""
    found: dict[str, dict[str, Any]] = {}
    for row in _table(facts, "dataset.splits"):
        digest = str(row.get("digest"))
        if digest.startswith("sha256:"):
            names = found.setdefault(digest, {"splits": [], "uses": []})
            names["splits"].append(f"{row['split']} ({row['count']} {row['unit']})" if row.get("count") else str(row["split"]))
            names["uses"].append(str(row["use"]))
    return [
        {
            "type": "data",
            "bom-ref": f"data:{digest}",
            "name": ", ".join(told["splits"]),
            "description": ", ".join(dict.fromkeys(told["uses"])),
            "hashes": [_hash(digest)],
        }
        for digest, told in found.items()
    ]


def _packages(facts: Mapping[str, FactShown]) -> Iterator[dict[str, Any]]:
    for row in _table(facts, "env.packages"):
        name, version = str(row.get("package")), str(row.get("version"))
        pure = f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
        yield {"type": "library", "bom-ref": pure, "name": name, "version": version, "purl": pure}


def _properties(facts: Mapping[str, FactShown]) -> Iterator[dict[str, str]]:
    """What CycloneDX has no field for: operations, energy, tokens, each as number and unit."""
    for path in sorted(facts):
        fact = facts[path]
        if (
            path.partition(".")[0] in {"compute", "energy"}
            and isinstance(fact.value, (int, float))
            and not isinstance(fact.value, bool)
        ):
            yield {"name": f"loopwright:{path}", "value": f"{fact.value!r} {fact.unit}".strip()}


def _file(path: str, digest: str) -> dict[str, Any]:
    return {"type": "file", "bom-ref": f"file:{path}", "name": path, "hashes": [_hash(digest)]}


def _hash(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest.removeprefix("sha256:")}


def _value(facts: Mapping[str, FactShown], path: str) -> Any:
    return facts[path].value if path in facts else None


def _rows(facts: Mapping[str, FactShown], path: str) -> Sequence[Sequence[Any]]:
    table = _value(facts, path)
    return table["rows"] if isinstance(table, Mapping) else ()


def _table(facts: Mapping[str, FactShown], path: str) -> Iterator[dict[str, Any]]:
    """Rows of a table by column key."""
    table = _value(facts, path)
    if isinstance(table, Mapping):
        yield from (dict(zip(table["columns"], row, strict=True)) for row in table["rows"])
