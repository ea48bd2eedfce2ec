"""A small workspace with a ledger and no loop: cycles are told, their artifacts are a few bytes. Times are fixed."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from loopwright.ledger import Ledger
from loopwright.ledger.ledger import Draft
from loopwright.ledger.location import locate
from loopwright.ledger.postgres import connect
from loopwright.ledger.signer import LocalSigner, Signer
from loopwright.types import Artifact, Digest, FileEntry, Manifest, canonical, digest_bytes, digest_value

TIME = "2026-01-02T03:04:05Z"
ROLES = {
    "seed": "controller",
    "generate": "generator",
    "verify": "verifier",
    "merge": "controller",
    "train": "trainer",
    "evaluate": "evaluator",
    "decide": "gate",
}
OUTPUTS: Mapping[str, tuple[str, ...]] = {
    "seed": ("suites", "heldout", "accepted", "archive"),
    "generate": ("proposals",),
    "verify": ("accepted",),
    "merge": ("archive",),
    "train": ("model",),
    "evaluate": ("evaluation",),
    "decide": ("decision",),
}


def digest(*parts: str) -> Digest:
    return digest_value(list(parts))


def opening(cycle: str, *, fence: int = 1, parent: str | None = None, prev: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "cycle": cycle,
        "parent": parent,
        "prev": prev,
        "seed": 7,
        "plan": digest("plan"),
        "code": {"generator": digest("generator"), "judge": digest("judge")},
        "lock": digest("lock"),
        "commit": "none",
        "fence": fence,
        "recipe": None,
        "opened_at": TIME,
        **more,
    }


def closing(cycle: str, *, action: str = "promote", champion: str | None = None) -> dict[str, Any]:
    return {"cycle": cycle, "action": action, "champion": champion or cycle, "closed_at": TIME}


def working(cycle: str, phase: str, config: Digest, artifacts: list[Artifact], summary: Mapping[str, Any]) -> dict[str, Any]:
    outputs = [{"name": one.kind, "kind": one.kind, "path": one.path, "digest": one.digest} for one in artifacts]
    return {
        "cycle": cycle,
        "phase": phase,
        "key": digest("key", cycle, phase),
        "attempt": 1,
        "config": config,
        "inputs": [],
        "outputs": outputs,
        "summary": dict(summary),
        "environment": {"host": "bench", "executor": "in-process"},
        "code": digest("code", phase),
        "lock": digest("lock"),
        "started_at": TIME,
        "finished_at": TIME,
        "seconds": 1.5,
    }


def write_artifact(root: Path, cycle: str, kind: str, files: Mapping[str, bytes]) -> Artifact:
    """Files at their place, the manifest at its own."""
    whole = kind == "decision"
    path = f"cycles/{cycle}/" + ("decision.json" if whole else kind)
    for name, data in files.items():
        file = root / path if whole else root / path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    entries = [FileEntry(path=name, size=len(data), sha256=hashlib.sha256(data).hexdigest()) for name, data in files.items()]
    manifest = Manifest(kind=kind, files=tuple(sorted(entries, key=lambda entry: entry.path)))
    place = root / "cycles" / cycle / "manifests" / f"{kind}.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    listed = [{"path": entry.path, "sha256": entry.sha256, "size": entry.size} for entry in manifest.files]
    place.write_bytes(canonical({"files": listed, "kind": kind}))
    assert digest_bytes(place.read_bytes()) == manifest.digest
    return Artifact(kind=kind, digest=manifest.digest, path=path)


class Workshop:
    """A workspace and the hand that writes in it."""

    def __init__(
        self,
        root: Path,
        keys: Path,
        *,
        signer: Callable[[Path], Signer] = LocalSigner,
        demo: bool = True,
        url: str | None = None,
    ) -> None:
        self.root, self.keys, self.signer, self.url = root, keys, signer, url
        if url:
            root.mkdir(parents=True)
            (root / "loop.yaml").write_text(f"record: {{url: {json.dumps(url)}}}\n")
        self.ledger = Ledger.create(
            root, workspace="bench", name="bench", demo=demo, plan=digest("plan"), key_home=keys, signer=signer
        )

    @property
    def published(self) -> Path:
        return self.root / "ledger"

    def again(self) -> Ledger:
        """The same ledger, opened anew."""
        self.ledger.close()
        self.ledger = Ledger.open(self.root, self.keys, signer=self.signer)
        return self.ledger

    def open(self, cycle: str = "c0000", **more: Any) -> int:
        return self.ledger.append("open", [], opening(cycle, **more), role="controller", event=f"open:{cycle}")

    def phase(self, cycle: str, phase: str, summary: Mapping[str, Any] | None = None, **changed: Any) -> int:
        config = canonical({"cycle": cycle, "phase": phase})
        file = self.root / "cycles" / cycle / "config" / f"{phase}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(config)
        artifacts = [
            write_artifact(
                self.root, cycle, kind, {f"{kind}.json" if kind == "decision" else "data.bin": f"{cycle} {kind}".encode()}
            )
            for kind in OUTPUTS[phase]
        ]
        predicate = {**working(cycle, phase, digest_bytes(config), artifacts, summary or {}), **changed}
        return self.ledger.append(
            "phase", artifacts, predicate, role=ROLES[phase], event=f"{predicate['key']}:{predicate['attempt']}"
        )

    def close(self, cycle: str = "c0000", **more: Any) -> int:
        return self.ledger.append("close", [], closing(cycle, **more), role="controller", event=f"close:{cycle}")

    def cycle(
        self, cycle: str = "c0000", phases: tuple[str, ...] = ("seed", "train", "evaluate", "decide"), **more: Any
    ) -> None:
        """A whole cycle with its checkpoint."""
        self.open(cycle, **more)
        for phase in phases:
            self.phase(cycle, phase, {"action": "promote", "reasons": ["better"]} if phase == "decide" else {})
        self.close(cycle)
        self.ledger.sign_checkpoint()

    def approve_many(self, count: int) -> None:
        """Many small entries in one transaction, since each of its own waits for the disk."""
        self.ledger.append_many(
            [
                Draft(kind="approval", predicate={"number": number}, role="person", event=f"approval:{number}")
                for number in range(count)
            ]
        )

    def lose_database(self) -> None:
        """What a failed disk, or a server that was set up anew, leaves: nothing."""
        self.ledger.close()
        server = locate(self.root).server
        if server is None:
            shutil.rmtree(self.root / ".loopwright")
            return
        connection = connect(server)
        connection.cursor().execute(f'DROP SCHEMA "{server.schema}" CASCADE')
        connection.commit()
        connection.close()
