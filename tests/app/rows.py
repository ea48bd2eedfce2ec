"""A workspace whose cycle has real tables: three accepted rows and some refused ones, one of them hostile."""

from __future__ import annotations

from pathlib import Path

from loopwright.store.artifacts import manifest_of, write_manifest
from loopwright.store.hashing import measure
from loopwright.store.tables import ROWS, write_table
from loopwright.types import Artifact
from loopwright.verify.phase import DETAILS
from tests.report.recorded import HOSTILE, Recorder, digest, summary


def row(name: str, answer: str, **more: object) -> dict[str, object]:
    told = dict.fromkeys(ROWS, "")
    return {**told, "id": name, "task": f"t{name}", "prompt": f"prompt {name}", "answer": answer, "level": 2, "origin": digest("c0000", "model"), "licence": "LicenseRef-model-output", "cycle": "c0001", **more}  # fmt: skip


ACCEPTED = [row("a1", "x=[1]"), row("a2", HOSTILE, prompt=HOSTILE), row("a3", "x=[3]", origin="human", level=3)]
REFUSED = [row(f"r{number}", f"y={number}", reason="visible check failed", detail="visible check 0") for number in range(60)] + [
    row("u1", "z=1", reason="not repeatable", detail=None), row("d1", "x=[1]", reason="duplicate", detail=HOSTILE),
]  # fmt: skip


def record_rows(root: Path) -> Path:
    """c0000 as recorded, and c0001 up to its verify phase."""
    recorder = Recorder(root)
    recorder.turn(0)
    recorder.open(1)
    recorder.phase("generate", 1)
    place = root / "cycles/c0001/accepted"
    place.mkdir(parents=True)
    write_table(place / "rows.parquet", ROWS, ACCEPTED)
    write_table(place / "refused.parquet", DETAILS, REFUSED)
    manifest = measure(place, "accepted").manifest
    manifest_of(place).parent.mkdir()
    write_manifest(manifest_of(place), manifest)
    made = Artifact(kind="accepted", digest=manifest.digest, path="cycles/c0001/accepted")
    predicate = {
        "cycle": "c0001", "phase": "verify", "key": digest("key", "c0001", "verify"), "attempt": 1, "config": digest("config", "verify"),
        "inputs": [{"name": "proposals", "path": "cycles/c0001/proposals", "digest": digest("c0001", "proposals")}],
        "outputs": [{"name": "accepted", "kind": "accepted", "path": made.path, "digest": made.digest}],
        "summary": {**summary("verify", 1), "accepted": len(ACCEPTED)}, "environment": {"host": "node-1", "name": "ray"}, "code": digest("code", "verify"),
        "lock": digest("lock"), "started_at": recorder.later(), "finished_at": recorder.later(1.0), "seconds": 1.0,
    }  # fmt: skip
    recorder.ledger.append("phase", [made], predicate, role="verifier", event="c0001:verify")
    recorder.done()
    return root
