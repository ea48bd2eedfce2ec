"""The signature that model weights carry when they leave: OpenSSF model-signing, which its own command line verifies.

Model-signing knows elliptic curves and not Ed25519, so weights are signed by a P-256 key of their own, and the trainer's key
says in the log which key signed which model: a reader goes from the weights to the log, and from there to how they came about.
The signing runs in a process of its own (`python -m model_signing`), which is given this one key.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from loopwright.clock import now
from loopwright.errors import InfraError, IntegrityError, UsageError, WorkspaceError
from loopwright.ledger.fold import fold
from loopwright.ledger.keys import key_folder
from loopwright.ledger.publication import write_file
from loopwright.ledger.taint import refuse_any
from loopwright.types import Artifact, Digest, digest_bytes

if TYPE_CHECKING:
    from loopwright.ledger import Ledger

__all__ = ["SignedModel", "export_model", "sign_model"]

_SECONDS = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedModel:
    """A model with its signature."""

    model: Artifact
    signature: Path
    """A sigstore bundle, ``ledger/signatures/CYCLE.sig`` of the workspace."""
    public_key: str
    """PEM, as the log names it."""
    index: int
    """The entry in which the trainer says so."""


def sign_model(root: Path, ledger: Ledger, cycle: str, key_home: Path | None = None) -> SignedModel:
    """Sign the model of a cycle, and record it; what is signed already is not signed again.

    Raises:
        UsageError: the cycle has no model, or it is not on this machine.
        IntegrityError: the weights here are not those that were recorded.
        InfraError: model-signing could not sign.
    """
    state = fold(ledger.statements())
    model = state.cycles[cycle].artifact("model") if cycle in state.cycles else None
    if model is None:
        raise UsageError(f"{cycle} has no model", "`loopwright status` shows the cycles")
    refuse_any(state, [model], f"an export of {cycle}'s model")
    _recorded(root, cycle, model)
    file = f"ledger/signatures/{cycle}.sig"
    for one in reversed(list(ledger.statements())):
        if (
            one.kind == "signature"
            and one.subjects[0].digest == model.digest
            and _digest(root / file) == one.predicate["digest"]
        ):
            return SignedModel(model=model, signature=root / file, public_key=one.predicate["public_key"], index=one.index)
    key = _key(key_folder(ledger.workspace, key_home))
    write_file(root / file, _signature(root / model.path, key))
    public = _public(key)
    told = {
        "cycle": cycle,
        "file": file,
        "digest": _digest(root / file),
        "public_key": public,
        "algorithm": "ecdsa-p256-sha256",
        "signed_at": now("seconds"),
    }
    index = ledger.append("signature", [model], told, role="trainer", event=f"signature:{told['digest']}")
    ledger.sign_checkpoint()
    return SignedModel(model=model, signature=root / file, public_key=public, index=index)


def export_model(root: Path, ledger: Ledger, cycle: str, out: Path, key_home: Path | None = None) -> SignedModel:
    """Write ``out/model/``, ``out/model.sig`` and ``out/signing-key.pem``: what `model_signing verify key` takes."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not an empty folder", "choose a new one")
    signed = sign_model(root, ledger, cycle, key_home)
    shutil.copytree(root / signed.model.path, out / "model")
    write_file(out / "model.sig", signed.signature.read_bytes())
    write_file(out / "signing-key.pem", signed.public_key.encode())
    return signed


def _digest(path: Path) -> Digest:
    return digest_bytes(path.read_bytes()) if path.is_file() else ""


def _recorded(root: Path, cycle: str, model: Artifact) -> None:
    """Never put a name under other bytes than the trainer's."""
    manifest, folder = root / "cycles" / cycle / "manifests" / "model.json", root / model.path
    if not folder.is_dir():
        raise UsageError(f"the model of {cycle} is not on this machine", f"dvc pull {model.path}")
    if _digest(manifest) != model.digest:
        raise IntegrityError(f"{manifest} is not the manifest that was recorded", "loopwright verify")
    listed = {file["path"]: file["sha256"] for file in json.loads(manifest.read_bytes())["files"]}
    here = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for name in sorted(listed.keys() | here.keys()):
        if name not in here or name not in listed or _sha256(here[name]) != listed[name]:
            raise IntegrityError(f"{model.path}/{name} is not what was recorded", f"dvc checkout {model.path}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _key(folder: Path) -> Path:
    """The P-256 key for weights, made when it is first needed; beside the workspace's other keys, mode 0600."""
    path = folder / "model-signing.pem"
    if not folder.is_dir():
        raise WorkspaceError(f"this machine has no keys of the workspace ({folder})", "sign where the workspace was made")
    if not path.is_file():
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        draft = path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    if path.stat().st_mode & 0o077:
        raise WorkspaceError(f"others may read the private key {path}", f"chmod 600 {path}")
    return path


def _public(key: Path) -> str:
    try:
        loaded = serialization.load_pem_private_key(key.read_bytes(), password=None).public_key()
    except ValueError as error:
        raise WorkspaceError(f"{key} is no private key: {error}", "restore the workspace's keys from their backup") from error
    return loaded.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def _signature(folder: Path, key: Path) -> bytes:
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "model.sig"
        command = [sys.executable, "-P", "-m", "model_signing", "sign", "key", str(folder)]
        command += ["--signature", str(out), "--private_key", str(key), "--no-ignore-git-paths"]
        environment = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH", "HOME") if name in os.environ}
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_SECONDS, env=environment)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InfraError(f"model-signing did not sign {folder}: {error}", "run again; nothing was recorded") from error
        if done.returncode or not out.is_file():
            problem = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise InfraError(f"model-signing did not sign {folder}: {' '.join(problem)}", "run again; nothing was recorded")
        return out.read_bytes()
