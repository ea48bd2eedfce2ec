"""The signature that promoted weights carry: OpenSSF model-signing, which its own command line verifies.

A model is signed when it is promoted, by the digests that its manifest recorded, and when it leaves, after its bytes were read. Model-signing knows elliptic curves and not Ed25519, so weights are signed by a P-256 key of their own, and the trainer's key
says in the log which key signed which model: a reader goes from the weights to the log, and from there to how they came about.
The signing runs in a process of its own (`loopwright.ledger.model_signer`), which is given this one key.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from loopwright.clock import now
from loopwright.errors import InfraError, IntegrityError, UsageError, WorkspaceError
from loopwright.ledger.fold import LoopState, fold
from loopwright.ledger.keys import key_folder
from loopwright.ledger.publication import write_file
from loopwright.ledger.signer import bare_environment
from loopwright.ledger.taint import refuse_any
from loopwright.types import Artifact, Digest, digest_bytes

if TYPE_CHECKING:
    from loopwright.ledger import Ledger

__all__ = ["SIGNED", "SignedModel", "export_model", "sign_model", "sign_recorded"]

SIGNED = (".sig", "-key.pem")
"""Ends of the names of a signature and of the public key that checks it: ``cycles/CYCLE/model.sig``, ``…/model-key.pem``."""

_SECONDS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedModel:
    """A model with its signature."""

    model: Artifact
    signature: Path
    """A sigstore bundle: ``cycles/CYCLE/model.sig`` of the workspace."""
    public_key: str
    """PEM, as the log names it."""
    index: int
    """The entry in which the trainer says so."""


def sign_model(root: Path, ledger: Ledger, cycle: str, key_home: Path | None = None) -> SignedModel:
    """Sign the model of a cycle, and record it; what is signed already is not signed again.

    Raises:
        UsageError: the cycle has no model, or it is not on this machine.
        IntegrityError: the weights here are not those that were recorded.
        InfraError: the signing process ended.
    """
    state = fold(ledger.statements())
    model = state.cycles[cycle].artifact("model") if cycle in state.cycles else None
    if model is None:
        raise UsageError(f"{cycle} has no model", "`loopwright status` shows the cycles")
    refuse_any(state, [model], f"an export of {cycle}'s model")
    _recorded(root, cycle, model)
    signed = _there(root, state, model) or _sign(root, ledger, cycle, model, key_home)
    ledger.sign_checkpoint()
    return signed


def sign_recorded(root: Path, ledger: Ledger, state: LoopState, cycle: str, key_home: Path | None = None) -> int | None:
    """Sign the model of a promotion by the digests that are on the record, reading no weights; the new entry.

    None where it is signed already, or has none. IntegrityError where the model's manifest is not the one that was recorded.
    """
    model = state.cycles[cycle].artifact("model")
    if model is None or _there(root, state, model):
        return None
    return _sign(root, ledger, cycle, model, key_home).index


def _there(root: Path, state: LoopState, model: Artifact) -> SignedModel | None:
    """The last signature of this model, where its file is here."""
    one = state.signatures.get(model.digest)
    if one is None or _digest(file := root / one.predicate["file"]) != one.predicate["digest"]:
        return None
    return SignedModel(model=model, signature=file, public_key=one.predicate["public_key"], index=one.index)


def _sign(root: Path, ledger: Ledger, cycle: str, model: Artifact, key_home: Path | None) -> SignedModel:
    """First the files, then the entry that names them: after a kill in between they are written anew."""
    key = _key(key_folder(ledger.workspace, key_home))
    signature, public = _signature(model, _manifest(root, cycle, model), key), _public(key)
    file, pem = (f"cycles/{cycle}/model{ending}" for ending in SIGNED)
    write_file(root / pem, public.encode())
    write_file(root / file, signature)
    told = {
        "cycle": cycle,
        "file": file,
        "digest": digest_bytes(signature),
        "public_key": public,
        "algorithm": "ecdsa-p256-sha256",
        "signed_at": now("seconds"),
    }
    index = ledger.append("signature", [model], told, role="trainer", event=f"signature:{told['digest']}")
    ledger.publish()
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


def _manifest(root: Path, cycle: str, model: Artifact) -> dict[str, str]:
    """sha256 by path, as it was recorded: never put a name under other bytes than the trainer's."""
    manifest = root / "cycles" / cycle / "manifests" / "model.json"
    if _digest(manifest) != model.digest:
        raise IntegrityError(f"{manifest} is not the manifest that was recorded", "loopwright verify")
    return {file["path"]: file["sha256"] for file in json.loads(manifest.read_bytes())["files"]}


def _recorded(root: Path, cycle: str, model: Artifact) -> None:
    """The weights here are those: before they leave, they are read."""
    folder = root / model.path
    if not folder.is_dir():
        raise UsageError(f"the model of {cycle} is not on this machine", f"dvc pull {model.path}")
    listed = _manifest(root, cycle, model)
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


def _signature(model: Artifact, files: Mapping[str, str], key: Path) -> bytes:
    """By a process of its own, which is given this one key and no weights."""
    command = [sys.executable, "-P", "-m", "loopwright.ledger.model_signer", str(key)]
    asked = json.dumps({"name": PurePosixPath(model.path).name, "files": files}).encode()
    try:
        done = subprocess.run(
            command, check=False, input=asked, capture_output=True, timeout=_SECONDS, cwd="/", env=bare_environment()
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InfraError(f"{model.path} was not signed: {error}", "run again; nothing was recorded") from error
    if done.returncode:
        problem = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise InfraError(f"{model.path} was not signed: {' '.join(problem)}", "run again; nothing was recorded")
    return done.stdout
