"""The envelope as persons handle it: a draft to start from, and which one is in force.

It is signed as a request with the action ``envelope``, whose subject is the bytes of ``envelope.yaml`` and which needs the
policy's strict quorum; from its execution on it holds for every cycle that opens.
"""

from __future__ import annotations

from typing import Any

from loopwright.planfile import parse_envelope, parse_recipes
from loopwright.signed import FILE, settings_of, signed_envelope
from loopwright.types import digest_bytes
from loopwright.workspace import Workspace

__all__ = ["draft_of", "in_force"]

_HEAD = """\
# Pre-determined changes (EU AI Act, Annex IV(2)(f) and Article 43(4)). Drafted from loop.yaml and recipe.yaml: as it stands,
# nothing may change. Move what may change from must_stay to may_change, as {low: …, high: …} or {values: […]}.
"""


def in_force(workspace: Workspace) -> dict[str, Any]:
    """Digest of the one in force, and what ``envelope.yaml`` is to it: ``in force``, ``not signed`` or ``none``.

    Raises:
        PlanError: the file says what it may not.
    """
    file = workspace.root / FILE
    data = file.read_bytes() if file.exists() else b"envelope: none\n"
    read, signed = parse_envelope(data.decode("utf-8", errors="replace")), signed_envelope(workspace.state())
    if read is None and signed is None:
        return {"digest": None, "file": "none"}
    return {"digest": signed, "file": "in force" if signed == digest_bytes(data) else "not signed"}


def draft_of(workspace: Workspace) -> str:
    """The text of an ``envelope.yaml`` that keeps every setting as it is."""
    import yaml

    recipe = parse_recipes((workspace.root / "recipe.yaml").read_text(encoding="utf-8")).cycle.model_dump(mode="json")
    settings = {**{f"recipe.{name}": value for name, value in recipe.items()}, **settings_of(workspace.plan())}
    sources = sorted({source.origin for source in workspace.plan().sources})
    limits = {
        "may_change": {},
        "must_stay": settings,
        "origins": ["human", "model", *sources],
        "synthetic_share": 0.9,
        "generation_depth": max(workspace.plan().cycles, 1),
        "performance": {"gate": {"low": 0.0}},
        "tests": {"false_accept": 1, "sentinel": 1},
        "stop": {"real_cross_entropy": {"high": 1.05}},
    }
    return _HEAD + yaml.safe_dump({"envelope": limits}, sort_keys=False, allow_unicode=True)
