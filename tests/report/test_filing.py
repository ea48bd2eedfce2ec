"""A report on its way out: what is enclosed, signatures that keep both conformances, tampering that is named, the register."""

from __future__ import annotations

import json
import random
import zipfile
from io import BytesIO
from pathlib import Path

import cyclonedx.schema._res as cyclonedx
import page
import pytest
from jsonschema import Draft7Validator
from pypdf import PdfReader
from referencing import Registry
from referencing.jsonschema import DRAFT7

from loopwright.errors import RefusedError, UsageError
from loopwright.govern.answers import Given, answer
from loopwright.govern.filing import Report, file_report
from loopwright.govern.requests import Desk
from loopwright.ledger.filings import register
from loopwright.report import BuiltReport, build, signing
from loopwright.report.filed import auditors_bundle, rows
from loopwright.report.signing import read_signatures, sign_pdf, signer_of
from loopwright.report.verify import Checked, verify_file
from loopwright.session import open_run
from loopwright.store import git
from loopwright.turn import settle
from loopwright.workspace import Workspace
from tests.run.small import copy_of
from tests.trace.conftest import Quiet


@pytest.fixture(scope="module")
def built(turned: Path, tmp_path_factory: pytest.TempPathFactory) -> BuiltReport:
    return build(turned, "loop", None, tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def signed(built: BuiltReport, certificate: tuple[Path, Path]) -> bytes:
    return sign_pdf(built.pdf.read_bytes(), signer_of(*certificate, lambda _: b""), "a test")


def said(checked: Checked) -> dict[str, str]:
    return {check.name: check.result for check in checked.checks}


def test_a_file_is_checked_alone_and_against_the_record(built: BuiltReport, turned: Path) -> None:
    key = json.loads((turned / "ledger/keys.json").read_bytes())["log"]
    alone = verify_file(built.pdf, keys=key)
    assert said(alone) == {
        "enclosed": "ok", "signature": "not checked", "pages": "ok", "checkpoint": "ok", "entries": "ok", "record": "not checked",
    }  # fmt: skip
    again = verify_file(built.pdf, workspace=turned)
    assert not again.failed, again.failed
    name, number, _ = key[0].split("+", 2)  # the key itself may hold one more
    strange = f"{name}+{number}+AQ" + "A" * 42
    assert [check.name for check in verify_file(built.pdf, keys=[strange]).failed] == ["checkpoint"]


def test_the_bill_of_materials_is_cyclonedx_and_names_what_the_document_names(turned: Path, tmp_path: Path) -> None:
    made = build(turned, "cycle", None, tmp_path)
    told = json.loads(PdfReader(made.pdf).attachments["bom.cdx.json"][0])
    schemas = Path(cyclonedx.__file__).parent
    names = ("bom-1.7", "spdx", "jsf-0.82", "cryptography-defs")
    found = {name: json.loads((schemas / f"{name}.SNAPSHOT.schema.json").read_bytes()) for name in names}
    registry = Registry().with_resources(
        [(f"http://cyclonedx.org/schema/{name}{ending}", DRAFT7.create_resource(schema)) for name, schema in found.items() for ending in (".schema.json", ".SNAPSHOT.schema.json")]
    )  # fmt: skip
    assert [error.message for error in Draft7Validator(found["bom-1.7"], registry=registry).iter_errors(told)] == []
    facts = {fact.path: fact.value for claim in made.document.claims for fact in claim.facts}
    assert "sha256:" + told["metadata"]["component"]["hashes"][0]["content"] == facts["model.id"]


def test_a_signature_keeps_both_conformances_and_the_first_revision(
    built: BuiltReport, signed: bytes, certificate: tuple[Path, Path]
) -> None:
    for profile in (page.ValidationProfile.PDF_A_3A, page.ValidationProfile.PDF_UA_1):
        for pdf in (built.pdf.read_bytes(), signed):
            report = page.validate_pdf_bytes(pdf, profile=profile.value)
            assert "0 failed" in str(report), str(report)
    [found] = read_signatures(signed, (certificate[0],))
    assert (found.intact, found.valid, found.whole, found.trusted) == (True, True, True, True)
    assert found.before == built.digests["pdf"]
    assert signed.startswith(built.pdf.read_bytes())


def test_one_changed_byte_anywhere_in_a_signed_file_is_found(
    signed: bytes, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    path = tmp_path / "touched.pdf"
    draw = random.Random(7)
    places = {draw.randrange(len(signed)) for _ in range(40)} | {
        signed.rfind(b"/Contents") + 12,
        signed.rfind(b"00>"),
        len(signed) - 2,
    }
    for place in places:
        path.write_bytes(signed[:place] + bytes([signed[place] ^ 1]) + signed[place + 1 :])
        found = verify_file(path, trusted=(certificate[0],))
        assert found.failed, f"byte {place} of {len(signed)}"
    path.write_bytes(signed + b"% more\n")
    assert verify_file(path).failed


def test_an_enclosed_file_that_was_exchanged_is_named(built: BuiltReport, tmp_path: Path) -> None:
    import pikepdf

    with pikepdf.open(built.pdf) as pdf:
        data = bytearray(pdf.attachments["document.json"].get_file().read_bytes())
        at = data.index(b'"as_of":"2') + 12
        data[at] ^= 1
        pdf.attachments["document.json"].get_file().obj.write(bytes(data))
        pdf.save(tmp_path / "exchanged.pdf")
    failed = verify_file(tmp_path / "exchanged.pdf").failed
    assert failed
    assert "document.json" in failed[0].told


def test_what_is_no_report_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.pdf").write_bytes(b"%PDF-1.7 nonsense")
    assert verify_file(tmp_path / "x.pdf").failed[0].name == "file"
    with pytest.raises(UsageError, match="cannot be read"):
        verify_file(tmp_path / "none.pdf")


def test_a_report_is_reviewed_then_approved_by_another_then_submitted(turned: Path, built: BuiltReport, tmp_path: Path) -> None:
    workspace: Workspace = copy_of(turned, tmp_path / "lab")
    about = built.document
    report = Report(
        pdf=built.pdf.read_bytes(), document=about.document, about="loop", language="en", audience="internal",
        checkpoint=about.provenance.checkpoint.size,
    )  # fmt: skip
    receipt = tmp_path / "receipt.txt"
    receipt.write_text("received")

    def take(state: str, name: str, **more: object) -> None:
        with Desk(workspace, lambda _: b"") as desk:
            file_report(desk, report, state, name=name, **more)

    for state, name, why in (("approved", "owner", "nobody has reviewed"), ("submitted", "owner", "submitted to whom")):
        with pytest.raises((RefusedError, UsageError), match=why):
            take(state, name)
    take("reviewed", "owner", note="all of it")
    with pytest.raises(RefusedError, match="who reviewed it does not approve it"):
        take("approved", "owner")
    with pytest.raises(RefusedError, match="nobody has approved"):
        take("submitted", "owner", recipient="AI Office")
    take("approved", "safety")
    take("submitted", "operator", recipient="AI Office", receipt=receipt)

    state = workspace.state()
    [filed] = register(state.acts, state.roster).values()
    assert (filed.state, filed.file) == ("submitted", built.digests["pdf"])
    [row] = rows(workspace.root)
    assert [step["state"] for step in row["steps"]] == ["reviewed", "approved", "submitted"]
    assert row["steps"][2]["recipient"] == "AI Office"
    assert "demonstration key" in row["steps"][0]["mark"]
    assert row["changed"] is not None

    data, members = auditors_bundle(workspace.root)
    assert auditors_bundle(workspace.root)[0] == data
    with zipfile.ZipFile(BytesIO(data)) as archive:
        name = next(name for name in members if name.startswith("reports/"))
        assert archive.read(name) == report.pdf
    raw = (workspace.root / "ledger").rglob("*")
    assert not any(b"AI Office" in path.read_bytes() for path in raw if path.is_file())  # the log has digests alone


def test_the_next_run_commits_the_words_that_a_killed_command_left(
    turned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = copy_of(turned, tmp_path / "lab")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as before_the_commit, Desk(workspace, lambda _: b"") as desk:
        before_the_commit.setattr(git, "commit", killed)
        with pytest.raises(KeyboardInterrupt):
            answer(desk, Given(field="org.name", document="profile", state="statement", text="A lab"))
    (workspace.root / "filings").mkdir()
    (workspace.root / "filings" / "frozen.pdf").write_bytes(b"%PDF-1.7")
    with open_run(workspace, Quiet()) as run:
        settle(run)
    assert git.dirty(workspace.root) == []
    assert list((workspace.root / "answers").iterdir())


def test_a_signature_whose_table_ends_ambiguously_is_made_again(
    built: BuiltReport, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, rooms = signing._signed, []

    def unlucky(pdf: bytes, signer: object, reason: str, room: int | None) -> bytes:
        rooms.append(room)
        done = made(pdf, signer, reason, room)
        return done + b"\r\nendstream" if len(rooms) < 3 else done

    monkeypatch.setattr(signing, "_signed", unlucky)
    done = sign_pdf(built.pdf.read_bytes(), signer_of(*certificate, lambda _: b""), "a test")
    assert (rooms[0], rooms[2] - rooms[1]) == (None, 2)
    assert not done.endswith(b"endstream")
    assert read_signatures(done)[0].intact


def test_what_cannot_sign_or_be_signed_says_so_in_one_error(
    built: BuiltReport, signed: bytes, certificate: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def never(what: str) -> bytes:
        raise AssertionError(what)

    seal, key = certificate
    (tmp_path / "none.p12").write_bytes(b"no archive")
    for files, said in (
        ((tmp_path / "nope.p12", None), "No such file"),
        ((seal, tmp_path / "nope.key"), "No such file"),
        ((seal, None), "needs its private key"),
    ):
        with pytest.raises(UsageError, match=said):
            signer_of(*files, never)
    with pytest.raises(UsageError, match="passphrase is wrong"):
        signer_of(tmp_path / "none.p12", None, lambda _: b"x")
    for pdf, said in ((b"text", "no PDF"), (signed, "allows no other")):
        with pytest.raises(UsageError, match=said):
            sign_pdf(pdf, signer_of(seal, key, never), "a test")
    with pytest.raises(UsageError, match="no verifier key"):
        verify_file(built.pdf, keys=["garbage"])
    (tmp_path / "signed.pdf").write_bytes(signed)
    with pytest.raises(UsageError, match="no certificate"):
        verify_file(tmp_path / "signed.pdf", trusted=(tmp_path / "nope.pem",))
    assert not verify_file(tmp_path / "signed.pdf").failed  # and a certificate that nobody named is no alarm
    assert capfd.readouterr().err == ""
