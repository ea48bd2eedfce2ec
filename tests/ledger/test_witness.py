"""Witnesses: what they sign, what they refuse and keep, and that no cosignature is lost while a driver works."""

from __future__ import annotations

import base64
import json
import os
import shutil
import struct
import threading
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from loopwright.errors import IntegrityError, UsageError, WorkspaceError
from loopwright.ledger import Ledger, tiles
from loopwright.ledger.cosignature import MAX_NOTE, WitnessKey, cosign, cosignatures, is_cosignature, read_key, with_lines
from loopwright.ledger.keys import public_bytes
from loopwright.ledger.ledger import Draft
from loopwright.ledger.note import Checkpoint, checkpoint_text, read_text, split_note
from loopwright.ledger.publication import checkpoints_held
from loopwright.ledger.trust import Trust, load_trust, standing
from loopwright.ledger.witness import Witness, keep
from tests.ledger.outside import loopwright, told, witness
from tests.ledger.workshop import Workshop

SPEC = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
\u2014 witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""
"""The example of C2SP tlog-cosignature."""


def test_the_bytes_are_those_of_the_specification() -> None:
    line = SPEC.splitlines()[-1]
    assert is_cosignature(line)
    assert not is_cosignature(SPEC.splitlines()[-2])
    key = Ed25519PrivateKey.generate()
    w1 = WitnessKey(name="witness.example.com/w1", public_key=public_bytes(key))
    text = checkpoint_text(Checkpoint(origin="example.com/behind-the-sofa", size=1, root=bytes(32)))
    blob = base64.b64decode(cosign(text, w1, key, 1679315147).split(" ")[2])
    assert blob[4:12] == base64.b64decode(line.split(" ")[2])[4:12], "the same time, written alike"
    key.public_key().verify(blob[12:], b"cosignature/v1\ntime 1679315147\n" + text.encode())
    assert read_key(str(w1)) == w1
    note = f"{text}\n{cosign(text, w1, key, 1679315147)}\n"
    assert [one.time for one in cosignatures(note, [w1])[0]] == [1679315147]
    with pytest.raises(struct.error):
        cosign(text, w1, key, 2**64)
    assert cosignatures(f"{text}\n{cosign(text, w1, key, 2**63)}\n", [w1]) == ([], [w1]), "C2SP: at most 2^63 - 1"


@given(st.text(max_size=200))
def test_a_hostile_key_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="key"):
        read_key(text)


@pytest.fixture
def lab(tmp_path: Path) -> Workshop:
    return told(tmp_path / "lab", tmp_path / "keys")


def grow(lab: Workshop, cycle: str, fence: int) -> None:
    lab.cycle(cycle, ("decide",), fence=fence, parent="c0000", prev="c0001")


def test_a_cosignature_is_found_and_stays_when_the_driver_goes_on(lab: Workshop, tmp_path: Path) -> None:
    key = witness(tmp_path / "w1")
    assert loopwright("witness", "cosign", lab.root, "--state", tmp_path / "w1", "--json").told["first"] is True
    size = lab.ledger.size
    lab.ledger.publish()
    assert (lab.published / "checkpoint").read_text().count("w1.example.org") == 1
    seen = loopwright("verify", "-w", lab.root, "--witness", key, "--json")
    assert (seen.code, seen.told["witnessed"], seen.told["cosignatures"][0]["witness"]) == (0, size, "w1.example.org")
    grow(lab, "c0002", 3)
    again = loopwright("verify", "-w", lab.root, "--witness", tmp_path / "w1" / "witness.pub")
    assert f"witnessed: {size} entries by w1.example.org; the 3 after it are the log's word alone" in again.out
    assert loopwright("witness", "cosign", lab.root / "ledger", "--state", tmp_path / "w1", "--json").told["first"] is False
    assert loopwright("verify", "-w", lab.root, "--witness", key, "--json").told["witnessed"] == lab.ledger.size


def test_what_is_rebuilt_from_the_published_log_keeps_the_cosignatures(lab: Workshop, tmp_path: Path) -> None:
    key = witness(tmp_path / "w1")
    loopwright("witness", "cosign", lab.root, "--state", tmp_path / "w1")
    lab.ledger.close()
    shutil.rmtree(lab.root / ".loopwright")
    lab.again()
    grow(lab, "c0002", 3)
    assert loopwright("verify", "-w", lab.root, "--witness", key, "--json").told["cosignatures"]


def test_a_witness_without_write_access_sends_a_file_back(lab: Workshop, tmp_path: Path) -> None:
    """The log travels as a copy, the cosignature as a note."""
    key = witness(tmp_path / "w1")
    shutil.copytree(lab.published, tmp_path / "copy")
    loopwright("witness", "cosign", tmp_path / "copy", "--state", tmp_path / "w1", "--out", tmp_path / "back")
    assert loopwright("verify", "-w", lab.root, "--witness", key, "--json").codes == {"unwitnessed"}
    assert loopwright("witness", "add", tmp_path / "back", "-w", lab.root).out.endswith("1 new cosignature\n")
    assert loopwright("witness", "add", tmp_path / "back", "-w", lab.root).out.endswith("0 new cosignatures\n")
    assert loopwright("verify", "-w", lab.root, "--witness", key, "--json").told["witnessed"] == lab.ledger.size


def test_a_note_of_another_checkpoint_is_not_taken_in(lab: Workshop, tmp_path: Path) -> None:
    other = told(tmp_path / "other", tmp_path / "other-keys")
    note = (other.published / "checkpoint").read_text()
    with pytest.raises(UsageError, match="no such checkpoint"):
        keep(lab.published, note)
    for junk in ("", "a\n\nb", note[:-1], note.replace("14", "015")):
        with pytest.raises(UsageError):
            keep(lab.published, junk)


def test_junk_lines_and_floods_stay_out(lab: Workshop) -> None:
    note = (lab.published / "checkpoint").read_text()
    assert keep(lab.published, note + "\u2014 nobody AAAA\nnonsense\n")[1] == 0
    key = Ed25519PrivateKey.generate()
    many = [
        cosign("x", WitnessKey(name=f"w{number}.example.org", public_key=public_bytes(key)), key, 1) for number in range(200)
    ]
    with pytest.raises(UsageError, match="as fit into"):
        keep(lab.published, with_lines(note, many))
    assert len((lab.published / "checkpoint").read_bytes()) < MAX_NOTE


def test_a_line_that_a_known_witness_did_not_sign_is_named(lab: Workshop, tmp_path: Path) -> None:
    key = witness(tmp_path / "w1")
    loopwright("witness", "cosign", lab.root, "--state", tmp_path / "w1")
    place = lab.published / "checkpoint"
    lines = place.read_text().splitlines()
    name, blob = lines[-1].split(" ")[1], bytearray(base64.b64decode(lines[-1].split(" ")[2]))
    blob[10] ^= 1  # another time under the same signature
    lines[-1] = f"\u2014 {name} {base64.b64encode(blob).decode()}"
    for file in (place, lab.published / "checkpoints" / str(lab.ledger.size)):
        file.write_text("\n".join(lines) + "\n")
    assert loopwright("verify", "-w", lab.root, "--witness", key, "--json").codes == {"cosignature-invalid", "unwitnessed"}


def test_two_witnesses_make_a_quorum_of_two_and_one_does_not(lab: Workshop, tmp_path: Path) -> None:
    keys = [witness(tmp_path / name, f"{name}.example.org") for name in ("w1", "w2")]
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"witnesses:\n- {keys[0]}\n- w2/witness.pub\nquorum: 2\n")
    loopwright("witness", "cosign", lab.root, "--state", tmp_path / "w1")
    assert loopwright("verify", "-w", lab.root, "--policy", policy, "--json").codes == {"unwitnessed"}
    loopwright("witness", "cosign", lab.root, "--state", tmp_path / "w2")
    done = loopwright("verify", "-w", lab.root, "--policy", policy)
    assert "by w1.example.org, w2.example.org" in done.out
    one_key_twice = loopwright("verify", "-w", lab.root, "--witness", keys[0], "--witness", keys[0], "--quorum", "2")
    assert one_key_twice.code == 2, "one witness counts once"


@pytest.mark.parametrize("text", ["witness: [a]", "witnesses: a", "- a", "witnesses: [nobody]", "quorum: 1", "{"])
def test_a_policy_that_says_nothing_clear_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "policy.yaml").write_text(text)
    with pytest.raises(UsageError):
        load_trust(tmp_path / "policy.yaml", [], None, [], [])


# --- refusals ------------------------------------------------------------------------------------------------------------


def test_a_rewind_is_refused_and_its_evidence_is_kept(lab: Workshop, tmp_path: Path) -> None:
    witness(tmp_path / "w1")
    shutil.copytree(lab.published, tmp_path / "backup")
    grow(lab, "c0002", 3)
    loopwright("witness", "cosign", lab.root, "--state", tmp_path / "w1")
    refused = loopwright("witness", "cosign", tmp_path / "backup", "--state", tmp_path / "w1")
    assert refused.code == 5
    assert "rewind" in refused.err
    [evidence] = (tmp_path / "w1" / "refused").iterdir()
    assert str(evidence) in refused.err
    kept = json.loads(evidence.read_bytes())
    assert (kept["code"], kept["shown"]) == ("rewind", (tmp_path / "backup" / "checkpoint").read_text())
    assert kept["kept"].startswith(f"loopwright/bench\n{lab.ledger.size}\n")


def test_the_log_of_somebody_else_is_refused_where_the_key_is_given(lab: Workshop, tmp_path: Path) -> None:
    witness(tmp_path / "w1")
    own = json.loads((lab.published / "keys.json").read_bytes())["log"][0]
    other = told(tmp_path / "other", tmp_path / "other-keys")
    refused = loopwright("witness", "cosign", other.root, "--state", tmp_path / "w1", "--log-key", own)
    assert refused.code == 5
    assert loopwright("witness", "cosign", lab.root, "--state", tmp_path / "w1", "--log-key", own).code == 0
    fork = loopwright("witness", "cosign", other.root, "--state", tmp_path / "w1")
    assert (fork.code, "not the log's" in fork.err) == (5, True), "the same origin, signed by another key"


@pytest.mark.parametrize("name", ["checkpoint", "tile/0/000.p/{size}", "tile/entries/000.p/{size}"])
def test_a_witness_survives_every_flipped_byte_and_signs_nothing_new(lab: Workshop, tmp_path: Path, name: str) -> None:
    witness(tmp_path / "w1")
    loopwright("witness", "cosign", lab.root, "--state", tmp_path / "w1")
    grow(lab, "c0002", 3)
    place = lab.published / name.format(size=lab.ledger.size)
    sound = place.read_bytes()
    memory = next((tmp_path / "w1" / "logs").iterdir())
    before = memory.read_bytes()
    for at in range(0, len(sound), max(1, len(sound) // 12)):
        place.write_bytes(sound[:at] + bytes([sound[at] ^ 4]) + sound[at + 1 :])
        try:
            answer = Witness.open(tmp_path / "w1").cosign(lab.published)
        except IntegrityError:
            assert memory.read_bytes() == before
        else:
            assert answer.checkpoint.size == lab.ledger.size, "the byte was no part of the proof"
            memory.write_bytes(before)
    place.unlink()
    if name != "tile/entries/000.p/{size}":
        with pytest.raises((IntegrityError, WorkspaceError), match=r"missing|no checkpoint"):
            Witness.open(tmp_path / "w1").cosign(lab.published)


def test_a_folder_that_is_no_witness_and_a_key_that_others_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="no witness"):
        Witness.open(tmp_path)
    Witness.create(tmp_path / "w", "w.example.org")
    with pytest.raises(UsageError, match="not empty"):
        Witness.create(tmp_path / "w", "w.example.org")
    with pytest.raises(UsageError, match="no spaces, no plus"):
        Witness.create(tmp_path / "v", "a+b")
    (tmp_path / "w" / "witness.key").chmod(0o644)
    with pytest.raises(WorkspaceError, match="others may read"):
        Witness.open(tmp_path / "w")


def test_cosigning_while_a_driver_appends_loses_nothing(lab: Workshop, tmp_path: Path) -> None:
    """The driver signs checkpoint after checkpoint; every one that the witness signed bears its line in the end."""
    made, signed, done = Witness.create(tmp_path / "w1", "w1.example.org"), set(), threading.Event()

    def drive() -> None:
        ledger = Ledger.open(lab.root, lab.keys, signer=lab.signer)
        for number in range(12):
            ledger.append("rollback", [], {"cycle": "c0000"}, role="controller", event=f"n:{number}")
            ledger.sign_checkpoint()
        ledger.close()
        done.set()

    driver = threading.Thread(target=drive)
    driver.start()
    while not done.is_set() or not signed:
        answer = made.cosign(lab.published)
        signed.add(keep(lab.published, with_lines(answer.note, [answer.line]))[0])
    driver.join()
    lab.ledger.publish()
    for size in signed:
        valid, broken = cosignatures((lab.published / "checkpoints" / str(size)).read_text(), [made.key])
        assert (len(valid), broken) == (1, [])
    latest = (lab.published / "checkpoint").read_text()
    assert latest.startswith(f"loopwright/bench\n{lab.ledger.size}\n"), "no witness put an older checkpoint back"


def test_the_driver_waits_while_a_cosignature_is_put_below_a_checkpoint(lab: Workshop) -> None:
    """Otherwise a witness could put an older checkpoint back over the driver's new one."""
    before = (lab.published / "checkpoint").read_text()
    with checkpoints_held(lab.published):
        driver = threading.Thread(target=lambda: grow(lab, "c0002", 3))
        driver.start()
        driver.join(0.7)
        assert driver.is_alive()
        assert (lab.published / "checkpoint").read_text() == before
    driver.join(30)
    assert (lab.published / "checkpoint").read_text().startswith(f"loopwright/bench\n{lab.ledger.size}\n")


def test_a_log_that_cannot_be_written_gives_the_note_on_stdout(lab: Workshop, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        blocked = lab.published / "checkpoints" / f".{lab.ledger.size}.tmp"
        blocked.mkdir()  # root may write anywhere; a folder in the way refuses it too
    else:
        (lab.published / "checkpoints").chmod(0o500)
    witness(tmp_path / "w1")
    done = loopwright("witness", "cosign", lab.root, "--state", tmp_path / "w1")
    assert (done.code, "carry this note back" in done.err) == (0, True)
    assert done.out.startswith("loopwright/bench\n")
    assert "w1.example.org" in done.out


def test_a_log_is_read_in_pieces_and_not_at_all_for_who_trusts_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workshop = Workshop(tmp_path / "w", tmp_path / "keys")
    for at in range(0, 4000, 1000):
        drafts = [
            Draft(kind="approval", predicate={"said": "x" * 1500}, role="person", event=f"{number}")
            for number in range(at, at + 1000)
        ]
        workshop.ledger.append_many(drafts)
    kept = read_text(split_note(workshop.ledger.sign_checkpoint())[0])
    workshop.ledger.close()
    tracemalloc.start()
    assert standing(workshop.published, Trust(kept=(kept,))).findings == ()
    assert tracemalloc.get_traced_memory()[1] < 4_000_000, "the log has 9 MB"
    tracemalloc.stop()
    other = replace(kept, root=bytes(32))
    assert [one.code for one in standing(workshop.published, Trust(kept=(other,))).findings] == ["fork"]
    longer = replace(kept, size=kept.size + 1)
    assert [one.code for one in standing(workshop.published, Trust(kept=(longer,))).findings] == ["rewind"]
    monkeypatch.setattr(tiles, "unpack", lambda _: pytest.fail("an entry was read"))
    assert standing(workshop.published, Trust()).findings == ()
