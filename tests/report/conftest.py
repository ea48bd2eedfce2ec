"""A real loop as `loopwright demo` leaves it, with the demonstration's profile; made once for all tests of documents."""

from __future__ import annotations

import csv
import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from loopwright.cli.demonstration import answer_profile
from tests.report.lived import live
from tests.report.panel import panel as records
from tests.report.queries import Case
from tests.report.records import Records, make
from tests.run.small import copy_of


@pytest.fixture(scope="session")
def answered(turned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small cycles whose profile is answered as the demonstration's is."""
    workspace = copy_of(turned, tmp_path_factory.mktemp("answered") / "lab")
    answer_profile(workspace)
    return workspace.root


@pytest.fixture(scope="session")
def panel(turned: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    """The records that every fact is asked of."""
    return records(turned, tmp_path_factory.mktemp("panel"))


@pytest.fixture(scope="session")
def regulation() -> dict[str, str]:
    """The fields that the regulation set lists: id to source."""
    with (Path(__file__).parent / "regulation.csv").open(newline="", encoding="utf-8") as stream:
        return {row["id"]: row["source"] for row in csv.DictReader(stream)}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for documents, and its key."""
    folder, key = tmp_path_factory.mktemp("certificate"), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Provider's seal")])
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=True, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 7, begin, begin + datetime.timedelta(days=9000))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "seal.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "seal.key").write_bytes(key.private_bytes(*plain))
    return folder / "seal.pem", folder / "seal.key"


@pytest.fixture(scope="session")
def lived(turned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small cycles, and persons who did everything that a fact speaks of."""
    return live(turned, tmp_path_factory.mktemp("lived"))


@pytest.fixture(scope="session")
def recordings(lived: Path, tmp_path_factory: pytest.TempPathFactory) -> Records:
    """Real records, and copies in which the entries say something else, with their catalogues."""
    return make(lived, tmp_path_factory.mktemp("records"))
