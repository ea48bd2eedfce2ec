"""Bundles: what is in one, and that two verifiers which share no code say the same of sound, tampered and hostile ones."""

from __future__ import annotations

import ast
import base64
import hashlib
import importlib.util
import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from loopwright.ledger.bundle import FREE, MAX_BYTES, read_bundle, write_bundle
from loopwright.ledger.bundle_audit import check_bundle
from loopwright.ledger.keys import public_bytes
from loopwright.ledger.merkle import inclusion_proof, leaf_hash, root_of
from loopwright.ledger.note import Checkpoint, checkpoint_text, sign_note
from loopwright.ledger.principals import RIGHTS, enrolled, principal_id
from loopwright.ledger.statement import pae, payload_of, read_statement, seal, unseal
from loopwright.ledger.trust import Trust, load_trust
from loopwright.types import canonical
from tests.ledger.outside import Done, loopwright, stolen, told, witness
from tests.ledger.workshop import TIME

Members = dict[str, bytes]


class Lab:
    """A workspace, two witnesses, and the bundle of its second cycle."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workshop = told(folder / "lab", folder / "keys")
        self.keys = [witness(folder / name, f"{name}.example.org") for name in ("w1", "w2")]
        loopwright("witness", "cosign", self.workshop.root, "--state", folder / "w1")
        self.workshop.cycle("c0002", ("decide",), fence=3, parent="c0001", prev="c0001")
        loopwright("witness", "cosign", self.workshop.root, "--state", folder / "w1")
        self.file = self.export("c0001")
        self.members = read_bundle(self.file.read_bytes())

    def export(self, cycle: str, *words: str) -> Path:
        out = self.folder / f"{cycle}{''.join(words)}.zip"
        done = loopwright("export", "--cycle", cycle, "--out", out, "-w", self.workshop.root, *words)
        assert done.code == 0, done.err
        return out


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="module")
def second(repository: Path) -> ModuleType:
    """The other verifier, loaded from its file alone."""
    spec = importlib.util.spec_from_file_location("verify_bundle", repository / "src/loopwright/ledger/verify_bundle.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TRUST = {"unwitnessed", "cosignature-invalid", "log-key", "rewind", "fork", "checkpoint-unknown"}


def ours(data: bytes, keys: list[str], log_key: str | None = None) -> str:
    trust = load_trust(None, keys, None, [], []) if keys else Trust()
    findings = check_bundle(data, trust, log_key).findings
    return ("trust" if findings[0].code in TRUST else findings[0].code.removeprefix("bundle-")) if findings else "sound"


def theirs(second: ModuleType, data: bytes, keys: list[str], log_key: str | None = None) -> str:
    try:
        second.verify(data, [second.witness_key(key) for key in keys], 1, log_key)
    except second.Wrong as error:
        return error.args[0]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return "form"
    return "sound"


def test_a_bundle_is_sound_to_both_and_holds_no_weights_no_rows_no_names(lab: Lab, second: ModuleType) -> None:
    data = lab.file.read_bytes()
    assert ours(data, lab.keys[:1]) == theirs(second, data, lab.keys[:1]) == "sound"
    assert {name for name in lab.members if name.startswith("files/") and "config" not in name} == {
        "files/cycles/c0000/decision.json",
        "files/cycles/c0001/decision.json",
    }
    assert b"c0001 model" not in data, "the weights' bytes"
    assert b"c0001 accepted" not in data, "the rows' bytes"
    assert sorted(name for name in lab.members if name.startswith("checkpoints/")) == ["checkpoints/15", "checkpoints/18"]


def test_the_same_record_gives_the_same_bytes(lab: Lab, tmp_path: Path) -> None:
    assert lab.export("c0001").read_bytes() == lab.file.read_bytes()
    assert write_bundle(lab.members) == lab.file.read_bytes()
    assert loopwright("export", "--cycle", "c0000", "--out", tmp_path / "b", "-w", lab.workshop.root, "--json").told["bytes"]


def test_a_whole_bundle_says_that_nothing_was_left_out(lab: Lab, second: ModuleType) -> None:
    whole = lab.export("c0001", "--whole")
    seen = loopwright("verify", whole, "--json").told
    assert (seen["whole"], seen["entries"], seen["leaves"]) == (True, 18, 18)
    members = read_bundle(whole.read_bytes())
    index = json.loads(members["bundle.json"])
    index["entries"] = [one for one in index["entries"] if one["index"] != 3]
    del members["entries/3.json"]
    data = write_bundle({**members, "bundle.json": canonical(index)})
    assert ours(data, []) == theirs(second, data, []) == "incomplete"


def test_a_checkpoint_that_the_reader_kept_is_continued_or_named(lab: Lab, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_bytes((lab.workshop.published / "checkpoints" / "7").read_bytes())
    assert loopwright("verify", lab.file, "--checkpoint", kept, "--json").codes == {"checkpoint-unknown"}
    since = lab.export("c0001", "--since", "7")
    assert loopwright("verify", since, "--checkpoint", kept).code == 0
    other = told(tmp_path / "other", tmp_path / "other-keys")
    kept.write_bytes((other.published / "checkpoints" / "15").read_bytes())
    assert loopwright("verify", lab.file, "--checkpoint", kept, "--json").codes == {"fork"}
    text = (other.published / "checkpoint").read_text()
    kept.write_text(text.replace("\n15\n", "\n99\n"))
    assert loopwright("verify", lab.file, "--checkpoint", kept, "--json").codes == {"rewind"}


def test_what_cannot_be_exported_is_told(lab: Lab, tmp_path: Path) -> None:
    def refused(*words: str) -> Done:
        return loopwright("export", "--out", tmp_path / "b", "-w", lab.workshop.root, *words)

    assert refused("--cycle", "c0009").code == 2
    assert refused("--cycle", "c0001", "--since", "4").code == 2
    assert loopwright("export", "-w", lab.workshop.root).code == 2
    assert not (tmp_path / "b").exists()
    open_one = told(tmp_path / "open", tmp_path / "open-keys")
    open_one.open("c0002", fence=3, parent="c0001", prev="c0001")
    open_one.phase("c0002", "decide")
    open_one.close("c0002")
    open_one.ledger.publish()
    done = loopwright("export", "--cycle", "c0002", "--out", tmp_path / "b", "-w", open_one.root)
    assert (done.code, "no checkpoint covers c0002" in done.err) == (3, True)
    (open_one.published / "checkpoints" / "7").write_text("junk")
    assert loopwright("export", "--cycle", "c0001", "--out", tmp_path / "b", "-w", open_one.root).code == 5


# --- tampered ones -------------------------------------------------------------------------------------------------------


def edited(lab: Lab, change: Callable[[Members, dict[str, Any]], None]) -> bytes:
    members, index = dict(lab.members), json.loads(lab.members["bundle.json"])
    change(members, index)
    members.setdefault("bundle.json", canonical(index))
    return write_bundle({**members, "bundle.json": canonical(index)})


def resigned(lab: Lab, name: str, role: str, **changes: Any) -> bytes:
    """The entry with another predicate, signed anew with a stolen key."""
    value = json.loads(unseal(lab.members[name]).payload)
    value["predicate"] |= changes
    key = stolen(lab.folder / "keys" / "bench", role, lab.members["entries/0.json"])
    return seal(payload := canonical(value), principal_id(public_bytes(key)), key.sign(pae(payload)))


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _swap(members: Members, first: str, other: str) -> None:
    members[first], members[other] = members[other], members[first]


def _proof(index: dict[str, Any], which: str, at: int = 0) -> None:
    index[which][at]["proof"][0] = base64.b64encode(bytes(32)).decode()


def _drop(members: Members, index: dict[str, Any], number: int) -> None:
    del members[f"entries/{number}.json"]
    index["entries"] = [one for one in index["entries"] if one["index"] != number]


def _forget_old(members: Members, index: dict[str, Any]) -> None:
    del members["checkpoints/15"]


def _bare(members: Members) -> None:
    for name in ("checkpoints/15", "checkpoints/18"):
        members[name] = b"".join(members[name].splitlines(keepends=True)[:5])


def _other_time(members: Members) -> None:
    lines = members["checkpoints/18"].decode().splitlines()
    head, name, blob = lines[-1].split(" ")
    lines[-1] = f"{head} {name} {base64.b64encode(flip(base64.b64decode(blob), 11)).decode()}"
    members["checkpoints/18"] = ("\n".join(lines) + "\n").encode()


def _manifest(members: Members) -> str:
    return next(name for name in members if name.startswith("manifests/") and b'"decision"' not in members[name])


CASES: Mapping[str, tuple[str, Callable[[Lab, Members, dict[str, Any]], None]]] = {
    "an entry edited": ("inclusion", lambda lab, m, _: m.update({"entries/14.json": resigned(lab, "entries/14.json", "controller")[:-1] + b" }"})),
    "an entry rewritten and re-signed": ("inclusion", lambda lab, m, _: m.update({"entries/14.json": resigned(lab, "entries/14.json", "controller", action="hold")})),
    "an entry under a swapped signature": ("inclusion", lambda lab, m, _: m.update({"entries/14.json": seal(unseal(m["entries/14.json"]).payload, unseal(m["entries/13.json"]).keyid, unseal(m["entries/13.json"]).signature)})),
    "two entries swapped": ("inclusion", lambda lab, m, _: _swap(m, "entries/13.json", "entries/14.json")),
    "an entry gone from the files": ("form", lambda lab, m, _: m.pop("entries/14.json") and None),
    "the closing entry left out": ("incomplete", lambda lab, m, i: _drop(m, i, 14)),
    "the decision left out": ("artifact", lambda lab, m, i: _drop(m, i, 13)),
    "an entry that is none": ("form", lambda lab, m, _: m.update({"entries/14.json": b"{}"})),
    "genesis left out": ("form", lambda lab, m, i: _drop(m, i, 0)),
    "an inclusion proof altered": ("inclusion", lambda lab, m, i: _proof(i, "entries", 3)),
    "an inclusion proof too long": ("inclusion", lambda lab, m, i: i["entries"][3]["proof"].append(base64.b64encode(bytes(32)).decode())),
    "an index beyond the tree": ("form", lambda lab, m, i: i["entries"][-1].update(index=99)),
    "a consistency proof altered": ("checkpoint", lambda lab, m, i: _proof(i, "consistency")),
    "a consistency proof left out": ("form", lambda lab, m, i: i["consistency"].clear()),
    "a checkpoint left out": ("form", lambda lab, m, i: _forget_old(m, i)),
    "a checkpoint of another size": ("checkpoint", lambda lab, m, i: m.update({"checkpoints/15": m["checkpoints/18"]})),
    "a checkpoint's root altered": ("checkpoint", lambda lab, m, _: m.update({"checkpoints/18": flip(m["checkpoints/18"], 24)})),
    "a checkpoint cut within a line": ("checkpoint", lambda lab, m, _: m.update({"checkpoints/18": m["checkpoints/18"][:-1]})),
    "a checkpoint under a number's other spelling": ("form", lambda lab, m, i: m.update({"checkpoints/018": m.pop("checkpoints/18")})),
    "the size of the index altered": ("form", lambda lab, m, i: i.update(size=15)),
    "another workspace named": ("form", lambda lab, m, i: i.update(workspace="other")),
    "another cycle named": ("incomplete", lambda lab, m, i: i.update(cycle="c0007")),
    "said to be whole": ("incomplete", lambda lab, m, i: i.update(whole=True)),
    "another version": ("form", lambda lab, m, i: i.update(schema=2)),
    "a manifest edited": ("artifact", lambda lab, m, _: m.update({_manifest(m): m[_manifest(m)] + b" "})),
    "a manifest left out": ("incomplete", lambda lab, m, _: m.pop(_manifest(m)) and None),
    "a manifest of nothing": ("artifact", lambda lab, m, _: m.update({f"manifests/{'0' * 64}.json": b"{}"})),
    "a decision edited": ("artifact", lambda lab, m, _: m.update({"files/cycles/c0001/decision.json": b"{}"})),
    "a configuration edited": ("artifact", lambda lab, m, _: m.update({"files/cycles/c0001/config/train.json": b"{}"})),
    "a file that nothing names": ("artifact", lambda lab, m, _: m.update({"files/names.json": b"{}"})),
    "two keys swapped": ("signature", lambda lab, m, _: _swap(m, *[name for name in m if name.startswith("keys/")][:2])),
    "a key that nobody enrolled": ("signature", lambda lab, m, _: m.update({"keys/0000000000000000.pem": b"x"})),
    "cosignatures removed": ("trust", lambda lab, m, _: _bare(m)),
    "a cosignature's time altered": ("trust", lambda lab, m, _: _other_time(m)),
    "no index": ("form", lambda lab, m, i: i.clear()),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_tampered_bundle_is_refused_by_both_for_the_same_reason(lab: Lab, second: ModuleType, name: str) -> None:
    expected, change = CASES[name]
    data = edited(lab, lambda members, index: change(lab, members, index))
    assert (ours(data, lab.keys[:1]), theirs(second, data, lab.keys[:1])) == (expected, expected)


def test_who_is_not_trusted_is_told_by_both(lab: Lab, second: ModuleType) -> None:
    data, key = lab.file.read_bytes(), loopwright("verify", lab.file, "--json").told["log_key"]
    assert ours(data, lab.keys[1:]) == theirs(second, data, lab.keys[1:]) == "trust", "w2 signed nothing"
    assert ours(data, [], key) == theirs(second, data, [], key) == "sound"
    assert ours(data, [], lab.keys[0]) == theirs(second, data, [], lab.keys[0]) == "trust"


def test_a_bundle_of_a_log_that_only_looks_like_ours_is_told_by_the_log_key(
    lab: Lab, second: ModuleType, tmp_path: Path
) -> None:
    key = loopwright("verify", lab.file, "--json").told["log_key"]
    told(tmp_path / "other", tmp_path / "keys").ledger.close()
    loopwright("export", "--cycle", "c0001", "--out", tmp_path / "b.zip", "-w", tmp_path / "other")
    data = (tmp_path / "b.zip").read_bytes()
    assert ours(data, [], key) == theirs(second, data, [], key) == "trust"
    assert ours(data, []) == theirs(second, data, []) == "sound", "by its own key alone, another log is a log"


@given(data=st.data())
def test_no_flipped_byte_goes_unseen(lab: Lab, second: ModuleType, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(lab.members)))
    at = data.draw(st.integers(0, len(lab.members[name]) - 1))
    mask = data.draw(st.sampled_from([1, 2, 0x20, 0x80]))
    changed = bytearray(lab.members[name])
    changed[at] ^= mask
    bundle = write_bundle({**lab.members, name: bytes(changed)})
    verdicts = {ours(bundle, lab.keys[:1]), theirs(second, bundle, lab.keys[:1])}
    if name in FREE:
        assert verdicts == {"sound"}, "nobody is to believe these"
    elif name == "bundle.json" or name.startswith("checkpoints/"):  # a space in JSON, or a stranger's line, may differ
        assert len(verdicts) == 1 or "sound" not in verdicts
    else:
        assert "sound" not in verdicts


# --- who holds the log's key may build a bundle in which every proof holds: then the statements' own signatures count ---------


class Forger:
    """An insider's log: any entries, in a tree of their own under a checkpoint that the stolen log key signed."""

    def __init__(self, lab: Lab) -> None:
        self.keys, self.members = lab.folder / "keys" / "bench", read_bundle(lab.export("c0001", "--whole").read_bytes())
        self.entries = [self.members.pop(f"entries/{index}.json") for index in range(18)]

    def said(self, kind: str, predicate: Mapping[str, Any], signer: str | Ed25519PrivateKey) -> bytes:
        key = stolen(self.keys, signer, self.entries[0]) if isinstance(signer, str) else signer
        subject = read_statement(self.entries[1], 1).subjects
        payload = payload_of(kind, subject, {"event": str(predicate), **predicate})
        return seal(payload, principal_id(public_bytes(key)), key.sign(pae(payload)))

    def bundle(self, *more: bytes, first: bytes | None = None) -> bytes:
        entries = [first or self.entries[0], *self.entries[1:], *more]
        leaves = [leaf_hash(entry) for entry in entries]
        text = checkpoint_text(Checkpoint(origin="loopwright/bench", size=len(entries), root=root_of(leaves)))
        [log] = (one for one in enrolled(read_statement(self.entries[0], 0).predicate).values() if one.role == "log")
        note = sign_note(text, "loopwright/bench", log, stolen(self.keys, "log", self.entries[0]).sign(text.encode()))
        proofs = [[base64.b64encode(one).decode() for one in inclusion_proof(leaves, at)] for at in range(len(leaves))]
        index = json.loads(self.members["bundle.json"]) | {"size": len(entries), "consistency": []}
        index["entries"] = [{"index": at, "proof": proof} for at, proof in enumerate(proofs)]
        kept = {name: data for name, data in self.members.items() if not name.startswith("checkpoints/")}
        told = {f"entries/{at}.json": entry for at, entry in enumerate(entries)}
        return write_bundle({**kept, **told, f"checkpoints/{len(entries)}": note.encode(), "bundle.json": canonical(index)})


@pytest.fixture(scope="module")
def forger(lab: Lab) -> Forger:
    return Forger(lab)


MALLORY, EVE = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))


def person(key: Ed25519PrivateKey, **more: Any) -> dict[str, Any]:
    raw = public_bytes(key)
    told = {"id": principal_id(raw), "role": "person", "kind": "person", "public_key": base64.b64encode(raw).decode()}
    return {**told, "custody": "passphrase", "person": "sha256:" + "0" * 64, **more}


def approval(forger: Forger, signer: str | Ed25519PrivateKey) -> bytes:
    return forger.said("approval", {"n": 1}, signer)


def enrol(forger: Forger, key: Ed25519PrivateKey, signer: str | Ed25519PrivateKey, **more: Any) -> bytes:
    by = more.pop("by", {})
    return forger.said("enrol", {"principal": person(key, **more), "enrolled_at": TIME, **by}, signer)


def revoke(forger: Forger, key: Ed25519PrivateKey) -> bytes:
    told = {"principal": principal_id(public_bytes(key)), "effective": 19, "reason": "lost", "revoked_at": TIME}
    return forger.said("revoke", told, "person")


def rotate(forger: Forger, old: Ed25519PrivateKey, new: Ed25519PrivateKey) -> bytes:
    told = {"old": principal_id(public_bytes(old)), "principal": person(new), "rotated_at": TIME}
    return forger.said("rotate", told, "person")


def unsigned(forger: Forger) -> bytes:
    envelope = unseal(approval(forger, "person"))
    return seal(envelope.payload, envelope.keyid, flip(envelope.signature, 3))


FORGED: Mapping[str, tuple[str, Callable[[Forger], bytes]]] = {
    "sound as it was": ("sound", lambda f: f.bundle()),
    "a person's approval": ("sound", lambda f: f.bundle(approval(f, "person"))),
    "a signature that does not fit": ("signature", lambda f: f.bundle(unsigned(f))),
    "an approval by the controller": ("signature", lambda f: f.bundle(approval(f, "controller"))),
    "an approval by the log's key": ("signature", lambda f: f.bundle(approval(f, "log"))),
    "an approval by somebody unknown": ("signature", lambda f: f.bundle(approval(f, MALLORY))),
    "a person enrolled by another": ("sound", lambda f: f.bundle(enrol(f, MALLORY, "person"), approval(f, MALLORY))),
    "a person enrolled by the controller": ("signature", lambda f: f.bundle(enrol(f, MALLORY, "controller"))),
    "a second founder": ("signature", lambda f: f.bundle(enrol(f, MALLORY, "controller", by={"by": "founding"}))),
    "somebody who enrols themself": ("signature", lambda f: f.bundle(enrol(f, MALLORY, MALLORY))),
    "a person who enrols a second key": ("signature", lambda f: f.bundle(enrol(f, MALLORY, "person"), enrol(f, EVE, MALLORY))),
    "a key enrolled twice": ("signature", lambda f: f.bundle(enrol(f, MALLORY, "person"), enrol(f, MALLORY, "person"))),
    "an approval after the revocation": (
        "signature", lambda f: f.bundle(enrol(f, MALLORY, "person"), revoke(f, MALLORY), approval(f, MALLORY))
    ),
    "an approval before the revocation": (
        "sound", lambda f: f.bundle(enrol(f, MALLORY, "person"), approval(f, MALLORY), revoke(f, MALLORY))
    ),
    "a revocation of nobody": ("signature", lambda f: f.bundle(revoke(f, MALLORY))),
    "a rotated key": ("sound", lambda f: f.bundle(enrol(f, MALLORY, "person"), rotate(f, MALLORY, EVE), approval(f, EVE))),
    "an approval by the key that was rotated": (
        "signature", lambda f: f.bundle(enrol(f, MALLORY, "person"), rotate(f, MALLORY, EVE), approval(f, MALLORY))
    ),
    "a phase by another role": (
        "signature",
        lambda f: f.bundle(f.said("phase", {**json.loads(unseal(f.entries[2]).payload)["predicate"], "phase": "train"}, "gate")),
    ),
    "a genesis that makes a service a person": (
        "form",
        lambda f: f.bundle(
            first=f.said(
                "genesis",
                {**(g := json.loads(unseal(f.entries[0]).payload)["predicate"]),
                 "principals": [{**p, "kind": "service"} for p in g["principals"]]},
                "controller",
            )
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_what_an_insider_forges_is_judged_alike(forger: Forger, second: ModuleType, name: str) -> None:
    expected, make = FORGED[name]
    data = make(forger)
    assert (ours(data, []), theirs(second, data, [])) == (expected, expected)


# --- hostile archives -----------------------------------------------------------------------------------------------------


def zipped(members: Mapping[str, bytes], **how: Any) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how.get("compression", zipfile.ZIP_STORED)) as archive:
        archive.comment = how.get("comment", b"")
        for name, content in members.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type, info.extra = archive.compression, how.get("extra", b"")
            archive.writestr(info, content)
    return out.getvalue()


HOSTILE: Mapping[str, Callable[[Lab], bytes]] = {
    "empty": lambda lab: b"",
    "no archive": lambda lab: b"PK\x03\x04" + bytes(100),
    "a path that climbs out": lambda lab: zipped({"../../etc/passwd": b"x"}),
    "an absolute path": lambda lab: zipped({"/etc/passwd": b"x"}),
    "a folder's name with dots": lambda lab: zipped({"files/../x": b"x"}),
    "a backslash": lambda lab: zipped({"files\\x": b"x"}),
    "a name in another script": lambda lab: zipped({"files/\u0435.json": b"x"}),
    "a bomb": lambda lab: zipped({"bundle.json": bytes(50_000_000)}, compression=zipfile.ZIP_DEFLATED),
    "compressed members": lambda lab: zipped(dict(sorted(lab.members.items())), compression=zipfile.ZIP_DEFLATED),
    "members out of order": lambda lab: zipped(dict(sorted(lab.members.items(), reverse=True))),
    "a comment": lambda lab: zipped(dict(sorted(lab.members.items())), comment=b"hello"),
    "hidden bytes before": lambda lab: b"MZ" + lab.file.read_bytes(),
    "hidden bytes after": lambda lab: lab.file.read_bytes() + b"x",
    "cut": lambda lab: lab.file.read_bytes()[:-30],
    "extra fields": lambda lab: zipped(dict(sorted(lab.members.items())), extra=b"\x01\x02\x00\x00"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_before_anything_in_it_is_read(lab: Lab, second: ModuleType, name: str) -> None:
    data = HOSTILE[name](lab)
    assert ours(data, []) == theirs(second, data, []) == "archive"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(lab: Lab, second: ModuleType) -> None:
    out = io.BytesIO(lab.file.read_bytes())
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("bundle.json", b"{}")
    assert ours(out.getvalue(), []) == theirs(second, out.getvalue(), []) == "archive"


@given(st.binary(max_size=200))
def test_junk_is_refused_in_words(second: ModuleType, data: bytes) -> None:
    assert ours(data, []) == theirs(second, data, []) == "archive"


def test_deep_json_and_much_of_it_end_in_a_finding(lab: Lab, second: ModuleType) -> None:
    for junk in (b"[" * 100_000, b'{"schema":1}', b'"' + b"9" * 1_000_000 + b'"', b"\xff\xfe"):
        data = write_bundle({**lab.members, "bundle.json": junk})
        assert ours(data, []) == theirs(second, data, []) == "form"
        data = write_bundle({**lab.members, "entries/14.json": junk})
        assert ours(data, []) == theirs(second, data, []) == "form"


def test_more_than_a_bundle_may_be_is_not_read(tmp_path: Path) -> None:
    big = tmp_path / "big.zip"
    with big.open("wb") as file:
        file.truncate(MAX_BYTES + 10)
    assert loopwright("verify", big, "--json").codes == {"bundle-archive"}


# --- as programs -----------------------------------------------------------------------------------------------------------


def test_the_second_verifier_is_short_stands_alone_and_exits_by_class(lab: Lab, repository: Path, tmp_path: Path) -> None:
    source = lab.members["verify_bundle.py"]
    assert source == (repository / "src/loopwright/ledger/verify_bundle.py").read_bytes()
    documented = sum(len(ast.get_docstring(node).splitlines()) for node in ast.walk(ast.parse(source)) if _documented(node))
    assert sum(bool(line.strip()) for line in source.decode().splitlines()) - documented < 200
    imported = set(re.findall(r"^(?:import|from) (\w+)", source.decode(), re.MULTILINE))
    assert imported <= {*sys.stdlib_module_names, "cryptography"}
    alone = tmp_path / "verify_bundle.py"
    alone.write_bytes(source)

    def run(path: Path, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", str(alone), str(path), *words]
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)

    sound = run(lab.file, "--witness", lab.keys[0])
    assert (sound.returncode, sound.stdout.startswith("sound: c0001 of bench, 12 of 18 entries;")) == (0, True)
    for name, (kind, change) in list(CASES.items())[::6]:
        bad = tmp_path / "bad.zip"
        bad.write_bytes(edited(lab, lambda members, index, change=change: change(lab, members, index)))
        done = run(bad, "--witness", lab.keys[0])
        assert (done.returncode, done.stderr.partition(":")[0]) == (10 + CLASSES.index(kind), kind), name
    assert run(tmp_path / "none.zip").returncode == 2
    assert run(lab.file, "--witness", "nonsense").returncode == 17


def _documented(node: ast.AST) -> bool:
    return isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None


def test_the_second_verifier_knows_every_right(second: ModuleType) -> None:
    known = {(role, right) for role, rights in second.MAY for right in rights}
    ours = {(role, right) for role, rights in RIGHTS.items() for right in rights}
    assert ours - known == {("log", "checkpoint")}, "add what is new to MAY in verify_bundle.py"
    assert not {("person", "phase:decide"), ("agent", "approval"), ("controller", "approval")} & known


def test_the_second_verifier_reads_a_tokens_signature(second: ModuleType) -> None:
    key = Ed25519PrivateKey.generate()
    raw = public_bytes(key)
    said = hashlib.sha256(b"ssh:").digest() + b"\x01\0\0\0\x09" + hashlib.sha256(b"text").digest()
    assert second.signed(raw, key.sign(said) + b"\x01\0\0\0\x09", b"text", "ssh:")
    assert not second.signed(raw, key.sign(said) + b"\x01\0\0\0\x08", b"text", "ssh:")
    untouched = said[:32] + b"\0" + said[33:]
    assert not second.signed(raw, key.sign(untouched) + b"\0\0\0\0\x09", b"text", "ssh:")
    assert second.signed(raw, key.sign(b"text"), b"text")


CLASSES = ("archive", "form", "checkpoint", "inclusion", "signature", "artifact", "incomplete", "trust")


def test_the_program_names_what_is_wrong_and_exits_5(lab: Lab, tmp_path: Path) -> None:
    bad = tmp_path / "bad.zip"
    bad.write_bytes(edited(lab, lambda members, _: _swap(members, "entries/13.json", "entries/14.json")))
    done = loopwright("verify", bad)
    assert (done.code, "bundle-inclusion: entries/13.json" in done.out) == (5, True)
    good = loopwright("verify", lab.file)
    assert "no witness was named" in good.out
    assert loopwright("verify", tmp_path / "none.zip").code == 2


def test_the_readme_shows_how_to_check_one_signature_with_openssl(
    lab: Lab, require: Callable[..., None], tmp_path: Path
) -> None:
    require("openssl", "sed", "base64")
    with zipfile.ZipFile(lab.file) as archive:
        archive.extractall(tmp_path)
    script = lab.members["README.txt"].decode().split("E=entries/0.json")[1].split("\n\n")[0]
    for entry in ("entries/0.json", "entries/13.json"):
        done = subprocess.run(["bash", "-euc", f"E={entry}{script}"], check=False, cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, "Signature Verified Successfully\n"), done.stderr
