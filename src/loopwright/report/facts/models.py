"""The model that a cycle trained: its files, its architecture, its signatures and its versions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from loopwright.ledger.taint import promoted, taint
from loopwright.report.facts.binding import alias, fact, table
from loopwright.report.facts.lineage import released
from loopwright.report.facts.reading import Absent, Reader


@fact("model.name")
def _name(see: Reader) -> str:
    see.leaf(0)
    return f"{see.state.name} {see.cycle.cycle}"


alias("system.version", "model.name")


@fact("model.id")
def _identity(see: Reader) -> str:
    return see.artifact("model").digest


@fact("model.version")
def _version(see: Reader) -> str:
    see.artifact("model")
    return see.cycle.cycle


@fact("model.collection")
def _collection(see: Reader) -> str:
    see.leaf(0)
    return see.state.workspace


@fact("model.versions")
def _versions(see: Reader) -> Any:
    champions, rows = set(promoted(see.state)), []
    for record in see.cycles():
        made = record.artifact("model")
        if made:
            see.digests.add(made.digest)
            see.phase("train", record)
            rows.append([record.cycle, made.digest, record.action, record.cycle in champions])
    return table("cycle model decision promoted", rows)


@fact("model.public_versions", "answered")
def _public_versions(see: Reader) -> Any:
    from loopwright.report.facts.answered import answer

    if answer(see, "release.versions") is None:
        raise Absent("release.versions")
    public = released(see)
    rows = [row[:2] for row in see.fact("model.versions")["rows"] if row[0] in public]
    return table("cycle model date", [[*row, see.maybe("release.eu_date") or see.maybe("release.date")] for row in rows])


@fact("model.files")
def _files(see: Reader) -> Any:
    found = see.files(see.artifact("model"))
    return table("path sha256 bytes", [[one.path, f"sha256:{one.sha256}", one.size] for one in found])


@fact("model.weights_bytes", "counted")
def _weights_bytes(see: Reader) -> int:
    return sum(one.size for one in see.files(see.artifact("model")) if one.path.endswith(".safetensors"))


@fact("env.footprint_bytes", "counted")
def _footprint(see: Reader) -> int:
    return sum(one.size for one in see.files(see.artifact("model")))


@fact("model.signatures")
def _signatures(see: Reader) -> Any:
    rows = []
    for said in see.of_kind("signature"):
        if said.predicate["cycle"] == see.cycle.cycle:
            see.leaf(said.index)
            told = said.predicate
            see.digests.add(told["digest"])
            rows.append([told["file"], told["digest"], told["algorithm"], told["signed_at"], said.keyid])
    see.artifact("model")
    return table("file digest algorithm time signer", rows)


@fact("model.signed")
def _signed(see: Reader) -> bool:
    return bool(see.fact("model.signatures")["rows"])


@fact("model.parameters", "counted")
def _parameters(see: Reader) -> int:
    return int(see.summary("train").get("parameters") or _absent("parameters"))


def _absent(what: str) -> Any:
    raise Absent(what)


@fact("model.parameters_active", "counted")
def _parameters_active(see: Reader) -> int:
    """The built-in family and all dense ones use every parameter for each token; a sparse one would say its own in the summary."""
    said = see.summary("train").get("parameters_active")
    return int(said) if said is not None else int(see.fact("model.parameters"))


_BOXES = (
    (500e6, "1 to 500 M"), (5e9, "500 M to 5 B"), (15e9, "5 B to 15 B"), (50e9, "15 B to 50 B"), (100e9, "50 B to 100 B"),
    (500e9, "100 B to 500 B"), (1e12, "500 B to 1 T"),
)  # fmt: skip


@fact("model.parameters_range", "derived")
def _parameters_range(see: Reader) -> str:
    count = see.fact("model.parameters")
    return next((box for limit, box in _BOXES if count <= limit), "> 1 T")


def _refs(see: Reader) -> Mapping[str, Any]:
    return dict(see.plugin("model", "train"))


@fact("model.family")
def _family(see: Reader) -> str:
    return str(_refs(see)["name"])


@fact("model.settings")
def _settings(see: Reader) -> Any:
    return table("setting value", sorted(_refs(see).get("settings", {}).items()))


@fact("model.architecture", "derived")
def _architecture(see: Reader) -> str:
    told = ", ".join(f"{key} {value}" for key, value in sorted(_refs(see).get("settings", {}).items()))
    return f"{see.fact('model.family')}: {told}" if told else str(see.fact("model.family"))


def _described(see: Reader) -> Mapping[str, Any]:
    return see.json(see.artifact("model"), "model.json")


@fact("model.vocabulary", "counted")
def _vocabulary(see: Reader) -> int:
    """Symbols of the codec's alphabet, as the model's own description lists them; of other families what they say."""
    said = _described(see)
    alphabet = said.get("alphabet")
    if isinstance(alphabet, dict):
        return sum(len(part) for part in alphabet.values() if isinstance(part, list))
    size = said.get("vocabulary", said.get("vocab_size"))
    return int(size) if size is not None else _absent("vocabulary")


@fact("model.tokenizer", "derived")
def _tokenizer(see: Reader) -> str:
    return f"{see.fact('model.family')}: {see.fact('model.vocabulary')} symbols"


@fact("model.input_modalities")
def _input_modalities(see: Reader) -> list[str]:
    """Text crosses the seam between domain, model and sandbox, and nothing else does (`loopwright.plugins`)."""
    see.artifact("model")
    return ["text"]


alias("model.output_modalities", "model.input_modalities")


@fact("model.input_format")
def _input_format(see: Reader) -> str:
    return f"text (UTF-8), {see.plugin('domain', 'train')['name']}"


alias("model.output_format", "model.input_format")


@fact("model.max_output")
def _max_output(see: Reader) -> int:
    """Of the phases that the cycle had: the plan may let a model write more when it makes data than when it is tested."""
    see.artifact("model")
    asked = [see.config(phase)["config"] for phase in ("generate", "evaluate") if phase in see.cycle.phases]
    return max((int(one["max_new_tokens"]) for one in asked), default=None) or _absent("max_new_tokens")


_LIMITS = ("context", "max_length", "max_position_embeddings")
_UNBOUNDED = frozenset(("tiny-transformer",))
"""Families whose network has no positional encoding, and so no greatest length but that of the memory (`loopwright.models.network`)."""


@fact("model.max_input")
def _max_input(see: Reader) -> int:
    """The context that the family's settings name."""
    told = _refs(see).get("settings", {})
    found = next((told[key] for key in _LIMITS if key in told), None)
    return int(found) if found is not None else _absent("context")


@fact("model.no_input_limit")
def _no_input_limit(see: Reader) -> bool:
    if see.maybe("model.max_input") is not None:
        return False
    return True if see.fact("model.family") in _UNBOUNDED else _absent("context")


_READ = 1 << 28
"""Larger weights are not read for a document: their digest is in the manifest."""


@fact("model.precision")
def _precision(see: Reader) -> str:
    """Types in the header of the safetensors file: its first 8 bytes are the header's length."""
    made = see.artifact("model")
    if any(one.size > _READ for one in see.files(made) if one.path == "model.safetensors"):
        raise Absent("model.safetensors")
    data = see.file(made, "model.safetensors")
    head = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    kinds = sorted({str(one["dtype"]) for key, one in head.items() if key != "__metadata__"})
    return ", ".join(kinds)


@fact("model.licence", "answered")
def _licence(see: Reader) -> str:
    from loopwright.report.facts.answered import answer

    return str(answer(see, "model.licence") or see.fact("release.licence"))


@fact("model.licence_of_parents", "counted")
def _licence_of_parents(see: Reader) -> Any:
    return see.fact("dataset.licences")


@fact("model.champion")
def _champion(see: Reader) -> bool:
    see.leaf(*(one.index for one in see.of_kind("close")[-1:]))
    return see.state.champion == see.cycle.cycle


@fact("model.recalled")
def _recalled(see: Reader) -> bool:
    see.entries("recall")
    return taint(see.state).holds(see.cycle.artifact("model"))


@fact("cycle.recalled")
def _cycle_recalled(see: Reader) -> list[str]:
    see.entries("recall")
    return [item.path for item in taint(see.state).within(see.cycle)]


@fact("model.difference", "derived")
def _difference(see: Reader) -> Any:
    return see.fact("cycle.changes")
