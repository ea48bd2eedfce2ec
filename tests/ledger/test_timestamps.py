"""Time stamps against a real authority: one that `openssl ts` runs here, by file and over HTTP on this machine."""

from __future__ import annotations

import http.server
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loopwright.ledger.trust import STAMPS
from tests.ledger.outside import loopwright, told
from tests.ledger.workshop import Workshop

CONFIGURATION = """
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
ess_cert_id_alg = sha256
[ext]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
"""


class Authority:
    """A time-stamping authority with a root certificate of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "root.pem"
        folder.mkdir()
        (folder / "serial").write_text("01\n")
        (folder / "cnf").write_text(CONFIGURATION.format(folder=folder))
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj"]
        self.openssl("req", "-x509", *key, "/CN=Root", "-days", "30", "-keyout", "root.key", "-out", "root.pem")
        self.openssl("req", "-new", *key, "/CN=Clock", "-keyout", "tsa.key", "-out", "tsa.csr")
        sign = [
            "-CA",
            "root.pem",
            "-CAkey",
            "root.key",
            "-CAcreateserial",
            "-days",
            "30",
            "-extfile",
            "cnf",
            "-extensions",
            "ext",
        ]
        self.openssl("x509", "-req", "-in", "tsa.csr", *sign, "-out", "tsa.pem")

    def openssl(self, *words: str | Path) -> None:
        subprocess.run(["openssl", *map(str, words)], cwd=self.folder, check=True, capture_output=True)

    def answer(self, request: Path, response: Path) -> None:
        signer = [
            "-signer",
            "tsa.pem",
            "-inkey",
            "tsa.key",
        ]  # no -chain: openssl sorts no sets, and the client reads strict DER
        self.openssl("ts", "-reply", "-config", "cnf", "-section", "here", "-queryfile", request, *signer, "-out", response)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory, require: Callable[..., None]) -> Authority:
    require("openssl")
    return Authority(tmp_path_factory.mktemp("tsa") / "here")


@pytest.fixture
def lab(tmp_path: Path) -> Workshop:
    return told(tmp_path / "lab", tmp_path / "keys")


@pytest.fixture
def stamped(lab: Workshop, authority: Authority, tmp_path: Path) -> Workshop:
    """By file: a request is carried out, a response comes back."""
    loopwright("witness", "timestamp", "--request", tmp_path / "q.tsq", "-w", lab.root)
    authority.answer(tmp_path / "q.tsq", tmp_path / "r.tsr")
    done = loopwright("witness", "timestamp", "--response", tmp_path / "r.tsr", "-w", lab.root)
    assert done.code == 0, done.err
    return lab


def test_a_stamp_is_checked_offline_and_stays_when_the_driver_goes_on(stamped: Workshop, authority: Authority) -> None:
    size = stamped.ledger.size
    stamped.cycle("c0002", ("decide",), fence=3, parent="c0000", prev="c0001")
    seen = loopwright("verify", "-w", stamped.root, "--tsa", authority.root, "--json")
    assert seen.code == 0
    [stamp] = seen.told["timestamps"]
    assert (stamp["size"], stamp["authority"]) == (size, "CN=Clock")
    assert "were there by" in loopwright("verify", "-w", stamped.root, "--tsa", authority.root).out


def test_openssl_accepts_what_is_stored(stamped: Workshop, authority: Authority, tmp_path: Path) -> None:
    text = (stamped.published / "checkpoint").read_text().partition("\n\n")[0] + "\n"
    (tmp_path / "text").write_text(text)
    response = stamped.published / "timestamps" / f"{stamped.ledger.size}.tsr"
    authority.openssl("ts", "-verify", "-data", tmp_path / "text", "-in", response, "-CAfile", "root.pem")


def test_another_authority_another_checkpoint_and_a_flipped_byte_are_named(
    stamped: Workshop, authority: Authority, tmp_path: Path
) -> None:
    place = stamped.published / "timestamps" / f"{stamped.ledger.size}.tsr"
    sound = place.read_bytes()

    def codes(certificate: Path = authority.root) -> set[str]:
        return loopwright("verify", "-w", stamped.root, "--tsa", certificate, "--json").codes

    assert codes(Authority(tmp_path / "stranger").root) == {"timestamp-invalid"}
    refused = loopwright("witness", "timestamp", "--response", place, "--size", "1", "-w", stamped.root)
    assert (refused.code, "other bytes" in refused.err) == (3, True)
    place.rename(place.with_name("1.tsr"))
    assert codes() == {"timestamp-invalid"}
    place.with_name("1.tsr").unlink()
    for at in (len(sound) // 2, len(sound) - 5):
        place.write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
        assert codes() == {"timestamp-invalid"}
    place.write_bytes(b"junk")
    assert codes() == {"timestamp-invalid"}


@pytest.fixture
def url(authority: Authority, tmp_path: Path) -> Iterator[str]:
    """The same authority behind HTTP, on this machine."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # http.server's name
            (tmp_path / "in").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.headers["Content-Type"] == "application/timestamp-query"
            authority.answer(tmp_path / "in", tmp_path / "out")
            self.send_response(200)
            self.end_headers()
            self.wfile.write((tmp_path / "out").read_bytes())

        def log_message(self, *args: object) -> None:
            """Silent."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_an_authority_is_asked_by_url_when_a_person_types_it(lab: Workshop, authority: Authority, url: str) -> None:
    assert loopwright("witness", "timestamp", "--tsa", url, "-w", lab.root).code == 0
    assert loopwright("verify", "-w", lab.root, "--tsa", authority.root).code == 0


def test_no_answer_and_no_address_are_told(lab: Workshop) -> None:
    assert loopwright("witness", "timestamp", "--tsa", "http://127.0.0.1:9/", "-w", lab.root).code == 1
    assert loopwright("witness", "timestamp", "--tsa", "file:///etc/passwd", "-w", lab.root).code == 2
    assert loopwright("witness", "timestamp", "-w", lab.root).code == 2
    assert not (lab.published / STAMPS).exists()
