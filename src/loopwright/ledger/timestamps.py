"""RFC 3161 time stamps of checkpoints: an authority's word that these bytes existed then.

A witness says that a log was not rewound; a time stamp says when a checkpoint was there at the latest, by a clock that is not
the log's. What is stamped is the checkpoint's text (SHA-256). Asking an authority by URL is the only thing here that uses a
network, and nothing does so unless a person types it.
"""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import rfc3161_client as tsp
from cryptography import x509

from loopwright.clock import rfc3339
from loopwright.errors import InfraError, RefusedError, UsageError
from loopwright.ledger.audit import Finding

__all__ = ["accept", "ask", "check", "request"]

_MOST = 65_536
_SECONDS = 30


def request(text: str) -> bytes:
    """A DER TimeStampReq for this checkpoint's text; without nonce, so that the answer may come back another day."""
    builder = tsp.TimestampRequestBuilder().data(text.encode()).hash_algorithm(tsp.HashAlgorithm.SHA256)
    return builder.nonce(nonce=False).cert_request(cert_request=True).build().as_bytes()


def ask(url: str, text: str) -> bytes:
    """Send the request to an authority over HTTP; its response. InfraError where there is none."""
    if not url.startswith(("https://", "http://")):
        raise UsageError(f"{url} is no http address", "or carry the files by hand: --request FILE, then --response FILE")
    asked = urllib.request.Request(url, data=request(text), headers={"Content-Type": "application/timestamp-query"})  # noqa: S310
    try:
        with urllib.request.urlopen(asked, timeout=_SECONDS) as answer:  # noqa: S310  # http, by the test above
            return answer.read(_MOST)
    except (urllib.error.URLError, OSError) as error:
        raise InfraError(
            f"{url} gave no time stamp: {error}", "try again, or another authority; nothing was recorded"
        ) from error


def accept(data: bytes, text: str) -> Any:
    """The response, decoded; RefusedError unless it is a granted stamp of exactly this text. Who signed it is `check`'s."""
    try:
        response = tsp.decode_timestamp_response(data)
        imprint = response.tst_info.message_imprint.message
    except ValueError as error:
        raise RefusedError(f"not a time-stamp response: {error}", "ask the authority again") from error
    if response.status not in {tsp.PKIStatus.GRANTED, tsp.PKIStatus.GRANTED_WITH_MODS}:
        raise RefusedError(f"the authority refused: {' '.join(response.status_string)}", "ask the authority why")
    if imprint != hashlib.sha256(text.encode()).digest():
        raise RefusedError("the time stamp is of other bytes than this checkpoint's", "it belongs to another --size")
    return response


def check(
    responses: Mapping[str, bytes], texts: Mapping[int, str], authorities: Sequence[Path]
) -> tuple[list[Mapping[str, Any]], list[Finding]]:
    """Every stored response against the reader's certificates: those that hold (size, time, authority), and what is wrong."""
    certificates = _certificates(authorities)
    valid, wrong = [], []
    for name, data in sorted(responses.items()):
        number = Path(name).stem
        text = texts.get(int(number)) if number.isdigit() else None
        where = f"ledger/{name}"
        if text is None:
            wrong.append(Finding(code="timestamp-invalid", where=where, message="belongs to no checkpoint of this log"))
            continue
        try:
            valid.append({"size": int(number), **_verified(data, text, certificates)})
        except (RefusedError, ValueError, tsp.VerificationError) as error:
            message = error.message if isinstance(error, RefusedError) else str(error)
            wrong.append(Finding(code="timestamp-invalid", where=where, message=message))
    return valid, wrong


def _certificates(paths: Sequence[Path]) -> list[x509.Certificate]:
    try:
        return [one for path in paths for one in x509.load_pem_x509_certificates(path.read_bytes())]
    except (OSError, ValueError) as error:
        raise UsageError(f"no certificate: {error}", "give the authority's certificates as PEM") from error


def _verified(data: bytes, text: str, certificates: Sequence[x509.Certificate]) -> dict[str, Any]:
    response = accept(data, text)
    builder = tsp.VerifierBuilder()
    for certificate in certificates:
        root = certificate.subject == certificate.issuer
        builder = builder.add_root_certificate(certificate) if root else builder.add_intermediate_certificate(certificate)
    builder.build().verify_message(response, text.encode())
    serials = {one.serial_number for one in response.signed_data.signer_infos}
    carried = [x509.load_der_x509_certificate(one) for one in response.signed_data.certificates]
    names = [one.subject.rfc4514_string() for one in [*carried, *certificates] if one.serial_number in serials]
    return {"time": rfc3339(response.tst_info.gen_time, "auto"), "authority": names[0] if names else ""}
