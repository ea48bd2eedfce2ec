"""Makes ``tests/golden/v1/``, the workspace that every later version must still verify, and the examples in the docs.

``python -m tests.golden.make_v1`` from the repository's root. The bytes are frozen: a change of the program that would
alter them is a new version of the format, with a new folder beside this one. The keys are test keys that anybody can
derive from this file; a signature by them proves nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from loopwright.ledger.audit import audit
from loopwright.ledger.genesis import genesis
from loopwright.ledger.keys import public_bytes
from loopwright.ledger.ledger import Ledger
from loopwright.ledger.principals import RIGHTS, ROLES
from loopwright.ledger.schema import fields
from loopwright.ledger.signer import signable
from loopwright.ledger.statement import unseal
from loopwright.types import Artifact, Digest, canonical, digest_bytes

WORKSPACE = "golden-v1"
FOLDER = Path(__file__).parent / "v1"
DOCUMENT = Path(__file__).parents[2] / "docs" / "ledger-format.md"


def key_of(role: str) -> Ed25519PrivateKey:
    """A test key."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"loopwright test key: {role}".encode()).digest())


class TestKeys:
    """Signs with keys that are no secret."""

    __test__ = False
    custody = "test key, derived from tests/golden/make_v1.py: proves nothing"

    def sign(self, role: str, payload: bytes) -> bytes:
        return self.sign_many(role, [payload])[0]

    def sign_many(self, role: str, payloads: Sequence[bytes]) -> list[bytes]:
        return [key_of(role).sign(signable(role, WORKSPACE, payload)) for payload in payloads]

    def close(self) -> None:
        """Nothing to end."""


def at(minute: int) -> str:
    return f"2026-01-02T03:{minute:02d}:00Z"


def fixed(*parts: str) -> Digest:
    return digest_bytes("/".join(parts).encode())


def keep(root: Path, path: str, data: bytes) -> Digest:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return digest_bytes(data)


def artifact(root: Path, kind: str, data: bytes) -> Artifact:
    """An artifact of one file; only its manifest is kept, and the decision itself."""
    name = "decision.json" if kind == "decision" else f"{kind}.parquet"
    listed = [{"path": name, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}]
    digest = keep(root, f"cycles/c0000/manifests/{kind}.json", canonical({"files": listed, "kind": kind}))
    if kind == "decision":
        keep(root, "cycles/c0000/decision.json", data)
    return Artifact(kind=kind, digest=digest, path="cycles/c0000/" + ("decision.json" if kind == "decision" else kind))


def opening(cycle: str, minute: int, **more: Any) -> dict[str, Any]:
    return {
        "cycle": cycle,
        "parent": None,
        "prev": None,
        "seed": 4503599627370495,
        "plan": fixed("plan"),
        "code": {"generator": fixed("generator"), "judge": fixed("judge")},
        "lock": fixed("lock"),
        "commit": "none",
        "fence": 1,
        "recipe": None,
        "opened_at": at(minute),
        **more,
    }


def working(
    root: Path, phase: str, minute: int, inputs: list[Artifact], outputs: list[Artifact], **more: Any
) -> dict[str, Any]:
    return {
        "cycle": "c0000",
        "phase": phase,
        "key": fixed("key", phase),
        "attempt": 1,
        "config": keep(root, f"cycles/c0000/config/{phase}.json", canonical({"cycle": "c0000", "phase": phase, "schema": 1})),
        "inputs": [{"name": one.kind, "path": one.path, "digest": one.digest} for one in inputs],
        "outputs": [{"name": one.kind, "kind": one.kind, "path": one.path, "digest": one.digest} for one in outputs],
        "environment": {"executor": "in-process", "host": "golden"},
        "code": fixed("code", phase),
        "lock": fixed("lock"),
        "started_at": at(minute),
        "finished_at": at(minute + 1),
        "seconds": 59.875,
        **more,
    }


def tell(ledger: Ledger, root: Path) -> None:
    """A seed cycle with a failed attempt, an approval, and a second cycle that has just begun."""

    def say(kind: str, predicate: Mapping[str, Any], role: str, event: str, subjects: tuple[Artifact, ...] = ()) -> int:
        return ledger.append(kind, subjects, predicate, role=role, event=event)

    say("open", opening("c0000", 1), "controller", "open:c0000")
    suites, archive = artifact(root, "suites", b"tasks"), artifact(root, "archive", b"rows")
    summary: dict[str, Any] = {"human_rows": 2, "gate_tasks": 1, "sealed_tasks": 1, "refused": {"zu lang": 1}}
    seed = working(root, "seed", 2, [], [suites, archive], summary=summary)
    say("phase", seed, "controller", f"{seed['key']}:1", (suites, archive))
    model = artifact(root, "model", b"weights")
    train = working(root, "train", 6, [archive], [model], summary={"steps": 20, "loss_last": 1e-07}, attempt=2)
    failure = {"cycle": "c0000", "phase": "train", "key": train["key"], "attempt": 1, "error": "InfraError"}
    times = {"started_at": at(4), "failed_at": at(5)}
    say("failure", {**failure, "message": "out of memory", **times}, "controller", f"{train['key']}:1:failed")
    say("phase", train, "trainer", f"{train['key']}:2", (model,))
    decision = artifact(root, "decision", canonical({"action": "promote", "reasons": ["first model"]}))
    decide = working(root, "decide", 8, [], [decision], summary={"action": "promote", "reasons": ["first model"]})
    say("phase", decide, "gate", f"{decide['key']}:1", (decision,))
    closed = {"cycle": "c0000", "action": "promote", "champion": "c0000", "closed_at": at(10)}
    say("close", closed, "controller", "close:c0000")
    ledger.sign_checkpoint()
    diff = keep(root, "recipes/longer.diff", b"-steps: 20\n+steps: 40\n")
    recipe = Artifact(kind="recipe", digest=diff, path="recipes/longer.diff")
    approval = say("approval", {"subject": diff, "approved_at": at(11)}, "person", f"approval:{diff}", (recipe,))
    ledger.sign_checkpoint()
    chosen = {"path": recipe.path, "digest": diff, "approval": approval}
    say("open", opening("c0001", 12, parent="c0000", prev="c0000", fence=2, recipe=chosen), "controller", "open:c0001")
    ledger.publish()


def make(root: Path) -> None:
    """Write the workspace; the same bytes every time."""
    keys = {role: public_bytes(key_of(role)) for role in (*ROLES, "person")}
    enrolling = genesis(
        workspace=WORKSPACE,
        name="golden",
        demo=True,
        plan=fixed("plan"),
        keys=keys,
        custody=TestKeys.custody,
        forked_from=None,
        created_at=at(0),
    )
    ledger = Ledger.begin(root, enrolling, TestKeys())
    tell(ledger, root)
    ledger.close()
    shutil.rmtree(root / ".loopwright")


def _shortened(value: Any) -> Any:
    """Long texts in the middle replaced, for the page."""
    if isinstance(value, dict):
        return {name: _shortened(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item) for item in value[:2]] + (["…"] if len(value) > 2 else [])
    return value if not isinstance(value, str) or len(value) < 100 else f"{value[:40]}…{value[-20:]}"


def _json(value: Any) -> str:
    return f"```json\n{json.dumps(_shortened(value), ensure_ascii=False, indent=2)}\n```"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "\n".join(["| " + " | ".join(row) + " |" for row in (head, tuple("---" for _ in head), *rows)])


def examples(root: Path) -> dict[str, str]:
    """What stands between the marks in the document, by name; made from the golden workspace and the code."""
    log = audit(root / "ledger")
    train = next(one for one in log.statements if one.predicate.get("phase") == "train" and one.kind == "phase")
    entry = log.entries[train.index]
    rights = [(f"`{role}`", ", ".join(f"`{right}`" for right in sorted(held))) for role, held in RIGHTS.items()]
    kinds = [(f"`{kind}`", ", ".join(f"`{name}`" for name in names)) for kind, names in fields().items()]
    return {
        "envelope": _json(json.loads(entry)),
        "statement": _json(json.loads(unseal(entry).payload)),
        "genesis": _json(log.statements[0].predicate),
        "checkpoint": f"```\n{(root / 'ledger' / 'checkpoint').read_text().rstrip()}\n```",
        "files": "```\n" + "\n".join(sorted(file.relative_to(root).as_posix() for file in _files(root / "ledger"))) + "\n```",
        "manifest": f"```json\n{(root / 'cycles/c0000/manifests/model.json').read_text()}\n```",
        "rights": _table(("role", "signs"), rights),
        "fields": _table(("kind", "fields of its predicate, besides `event`"), kinds),
    }


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def refreshed(document: str, root: Path) -> str:
    """The document with the example after each mark made anew; KeyError where a mark names no example."""
    found = examples(root)
    pattern = re.compile(r"(<!-- from code: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
    return pattern.sub(lambda mark: f"{mark[1]}{found[mark[2]]}\n{mark[3]}", document)


def main() -> None:
    """Write the folder and the document's examples."""
    with tempfile.TemporaryDirectory() as place:
        make(Path(place) / "v1")
        shutil.rmtree(FOLDER, ignore_errors=True)
        shutil.copytree(Path(place) / "v1", FOLDER)
    DOCUMENT.write_text(refreshed(DOCUMENT.read_text(encoding="utf-8"), FOLDER), encoding="utf-8")


if __name__ == "__main__":
    main()
