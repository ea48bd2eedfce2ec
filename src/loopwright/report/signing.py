"""Signatures under a finished PDF: PAdES by a certificate, which leaves PDF/A-3a and PDF/UA-1 as they are.

A report's bytes are reproducible, a signed file's are not (a signature names its time); so what the record names is the
digest of the unsigned file, which the signed one holds as its first revision, byte for byte.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from loopwright.errors import IntegrityError, UsageError
from loopwright.types import Digest

__all__ = ["PdfSignature", "read_signatures", "sign_pdf", "signer_of"]

FIELD = "LoopwrightSignature"
LABEL = "Signature over this report"
_CONTENTS = re.compile(rb"/Contents\s*<([0-9a-fA-F]+)>")
_TRIES = 16
"""One file in some 250 needs a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PdfSignature:
    """One signature in a PDF, as it was checked."""

    signer: str
    """Subject of the certificate."""
    intact: bool
    """The bytes that it covers are those that were signed."""
    valid: bool
    """The signature is the certificate's key's."""
    whole: bool
    """It covers the whole file: nothing was added after it."""
    trusted: bool
    """The certificate leads to one of those that the reader named."""
    signed_at: str | None
    """As the signer's clock said; ISO 8601."""
    certificate: Digest
    """sha256 of the certificate (DER)."""
    before: Digest
    """sha256 of the file as it was before the signature."""


def signer_of(certificate: Path, key: Path | None, passphrase: Callable[[str], bytes]) -> Any:
    """What signs: a PKCS #12 file, or a PEM certificate (chain below it) with its PEM key.

    UsageError where a file cannot be read, the passphrase is wrong, or the key is not the certificate's.
    """
    _quiet()
    for file in (certificate, key) if key else (certificate,):
        _readable(file)  # before anybody types a passphrase for nothing
    if key is None and certificate.read_bytes().lstrip().startswith(b"-----BEGIN"):
        raise UsageError(f"{certificate} is PEM and needs its private key", "--key FILE")
    found = _pem(certificate, key, passphrase) if key else _pkcs12(certificate, passphrase)
    if found is None:
        raise UsageError(
            f"{certificate} cannot be opened, or the passphrase is wrong",
            "give a .p12 file, or --certificate PEM with --key PEM",
        )
    return found


def _quiet() -> None:
    """Of what pyHanko finds wrong it logs tracebacks; a result or an error here says it."""
    for name in ("pyhanko", "pyhanko_certvalidator"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _readable(file: Path) -> None:
    try:
        file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", "name the files of certificate and key") from error


def _pkcs12(certificate: Path, passphrase: Callable[[str], bytes]) -> Any:
    from pyhanko.sign.signers import SimpleSigner

    return SimpleSigner.load_pkcs12(str(certificate), passphrase=passphrase(f"passphrase of {certificate.name}"))


def _pem(certificate: Path, key: Path, passphrase: Callable[[str], bytes]) -> Any:
    from pyhanko.sign.signers import SimpleSigner

    locked = b"ENCRYPTED" in key.read_bytes()
    return SimpleSigner.load(
        str(key), str(certificate), key_passphrase=passphrase(f"passphrase of {key.name}") if locked else None
    )


def sign_pdf(pdf: bytes, signer: Any, reason: str) -> bytes:
    """The file with a PAdES signature (baseline B-B) that allows no later change.

    The field has no visible mark and lies outside the page (an untagged widget would break PDF/UA-1), and the metadata stay
    untouched (pyHanko's rewriting would break PDF/A's extension schema).

    UsageError where it is no PDF, or is signed already.
    """
    _signable(pdf)
    made = _signed(pdf, signer, reason, None)
    room = _CONTENTS.search(made, len(pdf))
    more = 0
    while (
        room is not None and b"\r\nendstream" in made[len(pdf) :] and more < _TRIES
    ):  # ambiguous, as in `loopwright.report.pdf`
        more += 1  # a little more room moves what comes after it, and so makes another table
        made = _signed(pdf, signer, reason, len(room[1]) + 2 * more)
    return made


def _signable(pdf: bytes) -> None:
    from pyhanko.pdf_utils.misc import PdfError
    from pyhanko.pdf_utils.reader import PdfFileReader

    try:
        signed = PdfFileReader(BytesIO(pdf)).embedded_signatures
    except (PdfError, ValueError, KeyError) as error:
        raise UsageError(f"this is no PDF that can be read: {error}", "name a PDF that `report build` wrote") from error
    if signed:
        raise UsageError("this PDF is signed, and its signature allows no other", "sign the file that `report build` wrote")


def _signed(pdf: bytes, signer: Any, reason: str, room: int | None) -> bytes:
    """With so many hexadecimal digits for the signature; None: as pyHanko reckons."""
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.sign import fields, signers

    class Untouched(IncrementalPdfFileWriter):
        """Writes no metadata of its own."""

        def _update_meta(self) -> None:
            return

    writer = Untouched(BytesIO(pdf))
    place = fields.SigFieldSpec(
        sig_field_name=FIELD,
        readable_field_name=LABEL,
        invis_sig_settings=fields.InvisSigSettings(set_print_flag=True, set_hidden_flag=False, box_out_of_bounds=True),
    )
    told = signers.PdfSignatureMetadata(
        field_name=FIELD,
        subfilter=fields.SigSeedSubFilter.PADES,
        reason=reason,
        certify=True,
        docmdp_permissions=fields.MDPPerm.NO_CHANGES,
        md_algorithm="sha256",
    )
    out = signers.PdfSigner(told, signer=signer, new_field_spec=place).sign_pdf(writer, bytes_reserved=room)
    return out.getvalue()


def read_signatures(pdf: bytes, trusted: tuple[Path, ...] = ()) -> tuple[PdfSignature, ...]:
    """Every signature of a PDF, checked offline: no list of revoked certificates is fetched.

    Raises:
        IntegrityError: the file is damaged so far that its signatures cannot be read.
        UsageError: a file of ``trusted`` is no certificate.
    """
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.sign.validation import validate_pdf_signature
    from pyhanko_certvalidator import ValidationContext

    _quiet()
    context = ValidationContext(trust_roots=[_certificate(path) for path in trusted], allow_fetching=False)
    try:
        found = PdfFileReader(BytesIO(pdf)).embedded_regular_signatures
        return tuple(_told(one, validate_pdf_signature(one, context), pdf) for one in found)
    except Exception as error:  # whatever the libraries stumble over in a damaged file: it is not as it was signed
        raise IntegrityError(
            f"the signatures cannot be read: {type(error).__name__}: {error}", "ask for the file again"
        ) from error


def _certificate(path: Path) -> Any:
    from pyhanko.keys import load_cert_from_pemder

    try:
        return load_cert_from_pemder(str(path))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is no certificate that can be read: {error}", "--trust a PEM or DER certificate") from error


def _told(one: Any, status: Any, pdf: bytes) -> PdfSignature:
    certificate = one.signer_cert
    return PdfSignature(
        signer=certificate.subject.human_friendly,
        intact=status.intact,
        valid=status.valid,
        whole=status.coverage.name == "ENTIRE_FILE" and status.docmdp_ok is not False and _nothing_behind(one.pkcs7_content),
        trusted=status.trusted,
        signed_at=status.signer_reported_dt.isoformat() if status.signer_reported_dt else None,
        certificate="sha256:" + hashlib.sha256(certificate.dump()).hexdigest(),
        before="sha256:" + hashlib.sha256(pdf[: _end_of_first(pdf)]).hexdigest(),
    )


def _nothing_behind(container: bytes) -> bool:
    """The room for a signature is larger than it; what is left holds nothing, or something was put where no signature covers it."""
    from asn1crypto.cms import ContentInfo

    return not any(container[len(ContentInfo.load(container).dump()) :])


def _end_of_first(pdf: bytes) -> int:
    """Where the file ended before it was signed: after the first end-of-file mark."""
    mark = pdf.find(b"%%EOF") + len(b"%%EOF")
    return mark + (1 if pdf[mark : mark + 1] == b"\n" else 0)
