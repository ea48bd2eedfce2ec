"""``python -m loopwright.ledger.model_signer KEYFILE``: signs weights by their digests, with the one key that it is given.

Reads ``{"name", "files": {path: sha256}}`` on stdin, writes an OpenSSF model-signing signature: a sigstore bundle v0.3 around a
DSSE envelope around an in-toto Statement that lists the files (model_signing/signature/v1.0). Written here and not by that
package's API, which hashes the weights again and takes half a second to import; its command line verifies what is written (tests).
"""

from __future__ import annotations

import base64
import hashlib
import json
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from loopwright.ledger.statement import pae

__all__ = ["bundle"]

_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def bundle(key: ec.EllipticCurvePrivateKey, name: str, files: Mapping[str, str]) -> bytes:
    """The signature over a model's files (hex SHA-256 by path), under the name of its folder."""
    payload = json.dumps(_statement(name, files), sort_keys=True).encode()
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    signature = key.sign(pae(payload), ec.ECDSA(hashes.SHA256()))
    told = {
        "mediaType": _BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": hashlib.sha256(public).hexdigest()}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }
    return json.dumps(told).encode()


def _statement(name: str, files: Mapping[str, str]) -> dict[str, Any]:
    """The subject's digest is that of the files' digests, in order, one after the other."""
    whole = hashlib.sha256(b"".join(bytes.fromhex(files[path]) for path in sorted(files))).hexdigest()
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": whole}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
            "resources": [{"name": path, "algorithm": "sha256", "digest": files[path]} for path in sorted(files)],
        },
    }


def _serve(path: Path) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        sys.exit(f"{path} is no P-256 key")
    asked = json.loads(sys.stdin.buffer.read())
    sys.stdout.buffer.write(bundle(key, asked["name"], asked["files"]))


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
