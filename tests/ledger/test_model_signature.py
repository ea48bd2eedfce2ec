"""Weights that leave carry a signature that OpenSSF model-signing's own command line accepts, and the log says whose it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from loopwright.errors import IntegrityError, UsageError, WorkspaceError
from loopwright.ledger.bundle import read_bundle
from loopwright.ledger.fold import fold
from loopwright.ledger.model_signature import export_model, sign_model, sign_recorded
from loopwright.ledger.verify import verify
from tests.ledger.outside import loopwright, told
from tests.ledger.workshop import Workshop


def model_signing(folder: Path, *, key: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The real command line of the package."""
    words = ["--signature", folder / "model.sig", "--public_key", key or folder / "signing-key.pem"]
    command = [sys.executable, "-m", "model_signing", "verify", "key", folder / "model", *words]
    return subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True)


@pytest.fixture
def lab(tmp_path: Path) -> Workshop:
    return told(tmp_path / "lab", tmp_path / "keys")


def test_model_signing_accepts_the_model_and_refuses_a_changed_byte(lab: Workshop, tmp_path: Path) -> None:
    out = tmp_path / "out"
    signed = export_model(lab.root, lab.ledger, "c0001", out, lab.keys)
    accepted = model_signing(out)
    assert (accepted.returncode, "succeeded" in accepted.stdout) == (0, True), accepted.stdout + accepted.stderr
    weights = out / "model" / "data.bin"
    sound = weights.read_bytes()
    weights.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    assert model_signing(out).returncode != 0
    weights.write_bytes(sound)
    (out / "model" / "more.bin").write_bytes(b"x")
    assert model_signing(out).returncode != 0
    assert signed.index == lab.ledger.size - 1


def test_the_log_says_whose_signature_it_is_and_the_bundle_carries_it(lab: Workshop, tmp_path: Path) -> None:
    signed = sign_model(lab.root, lab.ledger, "c0001", lab.keys)
    [statement] = [one for one in lab.ledger.statements() if one.kind == "signature"]
    assert statement.subjects == (signed.model,)
    assert statement.predicate["public_key"] == signed.public_key
    assert verify(lab.root).ok
    assert loopwright("export", "--cycle", "c0001", "--out", tmp_path / "b.zip", "-w", lab.root).code == 0
    assert loopwright("verify", tmp_path / "b.zip").code == 0
    members = read_bundle((tmp_path / "b.zip").read_bytes())
    assert members["files/cycles/c0001/model.sig"] == signed.signature.read_bytes()


def test_what_is_signed_is_not_signed_again_unless_its_signature_is_gone(lab: Workshop) -> None:
    first = sign_model(lab.root, lab.ledger, "c0001", lab.keys)
    assert sign_model(lab.root, lab.ledger, "c0001", lab.keys) == first
    first.signature.unlink()
    again = sign_model(lab.root, lab.ledger, "c0001", lab.keys)
    assert (again.index, again.public_key) == (first.index + 1, first.public_key)
    assert (lab.keys / "bench" / "model-signing.pem").stat().st_mode & 0o777 == 0o600


def test_a_promotions_signature_reads_no_weights_and_survives_a_kill_between_file_and_entry(
    lab: Workshop, tmp_path: Path
) -> None:
    def again() -> int | None:
        return sign_recorded(lab.root, lab.ledger, fold(lab.ledger.statements()), "c0001", lab.keys)

    weights = lab.root / "cycles" / "c0001" / "model"
    weights.rename(tmp_path / "model")
    file = lab.root / "cycles" / "c0001" / "model.sig"
    file.write_bytes(b"what a killed run left")
    index = again()
    assert (index, again()) == (lab.ledger.size - 1, None)
    (tmp_path / "model.sig").write_bytes(file.read_bytes())
    (tmp_path / "signing-key.pem").write_bytes(file.with_name("model-key.pem").read_bytes())
    assert model_signing(tmp_path).returncode == 0
    (tmp_path / "model" / "data.bin").write_bytes(b"other bytes")
    assert model_signing(tmp_path).returncode != 0


def test_weights_that_are_not_the_recorded_ones_are_never_signed(lab: Workshop) -> None:
    weights = lab.root / "cycles" / "c0001" / "model" / "data.bin"
    sound, before = weights.read_bytes(), lab.ledger.size
    for tamper in (lambda: weights.write_bytes(b"x"), weights.unlink, lambda: (weights.parent / "y").write_bytes(b"y")):
        weights.write_bytes(sound)
        tamper()
        with pytest.raises(IntegrityError, match="not what was recorded"):
            sign_model(lab.root, lab.ledger, "c0001", lab.keys)
    (weights.parent / "y").unlink()
    (lab.root / "cycles" / "c0001" / "manifests" / "model.json").write_bytes(b"{}")
    with pytest.raises(IntegrityError, match="manifest"):
        sign_model(lab.root, lab.ledger, "c0001", lab.keys)
    assert lab.ledger.size == before


def test_no_model_no_key_and_a_full_folder_are_told(lab: Workshop, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no model"):
        sign_model(lab.root, lab.ledger, "c0009", lab.keys)
    with pytest.raises(WorkspaceError, match="no keys of the workspace"):
        sign_model(lab.root, lab.ledger, "c0001", tmp_path / "elsewhere")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(UsageError, match="not an empty folder"):
        export_model(lab.root, lab.ledger, "c0001", tmp_path / "full", lab.keys)
    assert loopwright("export", "--model", "c0001", "-w", lab.root).code == 2
