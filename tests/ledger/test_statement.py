"""What is signed, and how it is written down: envelopes, notes, tiles, fields."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwright.ledger.keys import public_bytes
from loopwright.ledger.note import Checkpoint, checkpoint_text, read_checkpoint, read_text, sign_note, verifier_key
from loopwright.ledger.principals import RIGHTS, Principal, enrolled, enrolment, principal_id, signed_by
from loopwright.ledger.schema import problems
from loopwright.ledger.statement import pae, payload_of, read_payload, read_statement, seal, unseal
from loopwright.ledger.tiles import Tile, levels_of, pack, tile_at, tiles_of, unpack
from loopwright.types import PHASES, Artifact, canonical
from tests.ledger.workshop import closing, digest, opening

SUBJECT = Artifact(kind="model", digest=digest("model"), path="cycles/c0001/model")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
LOG = Principal(
    id=principal_id(public_bytes(KEY)),
    role="log",
    kind="service",
    public_key=base64.b64encode(public_bytes(KEY)).decode(),
    custody="test",
)


def note_of(text: str, name: str = "loopwright/bench", key: Ed25519PrivateKey = KEY) -> str:
    return sign_note(text, name, LOG, key.sign(text.encode()))


def test_pre_authentication_encoding_is_the_one_of_the_specification() -> None:
    assert pae(b"hello world", "http://example.com/HelloWorld") == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_a_statement_comes_back_as_it_was_said() -> None:
    payload = payload_of("phase", [SUBJECT], {"b": 1, "a": [1.5, "ü"], "event": "x"})
    statement = read_statement(seal(payload, "k" * 16, b"s" * 64), 3)
    assert (statement.kind, statement.subjects, statement.index, statement.keyid) == ("phase", (SUBJECT,), 3, "k" * 16)
    assert (statement.predicate, statement.event) == ({"b": 1, "a": [1.5, "ü"], "event": "x"}, "x")


def test_a_statement_is_in_toto() -> None:
    value = json.loads(payload_of("close", [SUBJECT], {}))
    assert value == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {
                "name": SUBJECT.path,
                "digest": {"sha256": SUBJECT.digest.removeprefix("sha256:")},
                "annotations": {"kind": "model"},
            }
        ],
        "predicateType": "urn:loopwright:close:v1",
        "predicate": {},
    }


@given(st.integers(0), st.integers(1, 255))
def test_a_damaged_envelope_is_unreadable_or_different_and_never_something_else(at: int, change: int) -> None:
    entry = bytearray(seal(payload_of("close", [SUBJECT], {**closing("c0001"), "event": "e"}), "k" * 16, b"s" * 64))
    entry[at % len(entry)] ^= change
    try:
        envelope = unseal(bytes(entry))
        read_payload(envelope.payload)
    except ValueError:
        return
    # what still reads is not what was sealed, or is a spelling that the audit refuses: sealing it gives other bytes
    assert (
        seal(envelope.payload, envelope.keyid, envelope.signature) != bytes(entry)
        or envelope.payload != payload_of("close", [SUBJECT], {**closing("c0001"), "event": "e"})
        or (envelope.keyid, envelope.signature) != ("k" * 16, b"s" * 64)
    )


@given(st.binary(max_size=200))
def test_bytes_from_anywhere_are_refused_in_one_way(data: bytes) -> None:
    for read in (unseal, read_payload):
        with pytest.raises(ValueError):
            read(data)


@pytest.mark.parametrize("text", ["[]", "null", "1", '{"payload": 1}', '{"payloadType": [], "signatures": []}', "[" * 100_000])
def test_json_that_is_no_envelope_is_refused_in_one_way(text: str) -> None:
    for read in (unseal, read_payload):
        with pytest.raises(ValueError):
            read(text.encode())


def test_every_right_belongs_to_one_role_and_every_phase_to_some_role() -> None:
    rights = [right for held in RIGHTS.values() for right in held]
    assert len(rights) == len(set(rights))
    assert {right.removeprefix("phase:") for right in rights if right.startswith("phase:")} == set(PHASES)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": "0" * 16}, "not the digest"),
        ({"role": "auditor"}, "unknown role"),
        ({"kind": "service", "role": "person"}, "cannot hold"),
        ({"kind": "agent", "role": "person"}, "cannot hold"),
        ({"kind": "demo", "role": "person"}, "cannot hold"),
        ({"kind": "person", "role": "gate"}, "cannot hold"),
    ],
)
def test_genesis_cannot_enrol_a_contradiction(change: dict[str, str], reason: str) -> None:
    entry = {**enrolment("gate", public_bytes(KEY), "test", demo=False), **change}
    with pytest.raises(ValueError, match=reason):
        enrolled({"demo": False, "principals": [entry]})


def test_genesis_cannot_enrol_a_key_twice() -> None:
    twice = [enrolment(role, public_bytes(KEY), "test", demo=False) for role in ("gate", "trainer")]
    with pytest.raises(ValueError, match="twice"):
        enrolled({"demo": False, "principals": twice})


def test_a_demo_person_is_accepted_in_a_demo_only() -> None:
    entry = enrolment("person", public_bytes(KEY), "test", demo=True)
    assert entry["kind"] == "demo"
    assert enrolled({"demo": True, "principals": [entry]})
    with pytest.raises(ValueError, match="cannot hold"):
        enrolled({"demo": False, "principals": [entry]})


@pytest.mark.parametrize("field", sorted(opening("c0001")))
def test_a_missing_field_is_named(field: str) -> None:
    whole = {**opening("c0001"), "event": "e"}
    assert problems("open", whole) == []
    assert problems("open", {name: value for name, value in whole.items() if name != field}) == [field]
    assert problems("open", {**whole, field: object()}) == [field]


@pytest.mark.parametrize("path", ["/etc/passwd", "../outside", "cycles/../../outside"])
def test_a_path_stays_in_the_workspace(path: str) -> None:
    recipe = {"path": path, "digest": digest("r"), "approval": 3}
    assert problems("open", {**opening("c0001"), "event": "e", "recipe": recipe}) == ["recipe"]


def test_verifier_keys_and_signatures_are_those_of_other_implementations() -> None:
    """The example of golang.org/x/mod/sumdb/note, whose format C2SP signed notes are."""
    public = base64.b64decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")[1:]
    assert verifier_key("PeterNeumann", public) == "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    blob = base64.b64decode("x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=")
    peter = Principal(id="", role="log", kind="service", public_key=base64.b64encode(public).decode(), custody="")
    assert blob[:4].hex() == "c74f20a3"
    assert signed_by(peter, blob[4:], text.encode())
    assert not signed_by(peter, blob[4:], text.encode() + b" ")


@given(st.integers(0, 2**62), st.binary(min_size=32, max_size=32))
def test_a_note_comes_back(size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin="loopwright/bench", size=size, root=root)
    text = checkpoint_text(checkpoint)
    assert read_text(text) == checkpoint
    assert read_checkpoint(note_of(text), [LOG]) == checkpoint


@given(st.integers(0), st.integers(1, 255))
def test_a_note_with_any_byte_changed_is_refused(at: int, change: int) -> None:
    note = bytearray(note_of(checkpoint_text(Checkpoint(origin="loopwright/bench", size=5, root=bytes(32)))).encode())
    note[at % len(note)] ^= change
    with pytest.raises(ValueError):
        read_checkpoint(note.decode(), [LOG])


def test_a_signature_has_one_spelling() -> None:
    """The bits that base64 does not use are zero, so that a note is one sequence of bytes."""
    note = note_of(checkpoint_text(Checkpoint(origin="loopwright/bench", size=5, root=bytes(32))))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = alphabet[alphabet.index(note[-3]) + 1]
    assert base64.b64decode(f"{note[:-3]}{other}=".split()[-1]) == base64.b64decode(note.split()[-1])
    with pytest.raises(ValueError, match="no valid signature"):
        read_checkpoint(f"{note[:-3]}{other}=\n", [LOG])


def test_other_signatures_on_a_note_are_passed_over() -> None:
    text = checkpoint_text(Checkpoint(origin="loopwright/bench", size=5, root=bytes(32)))
    note = note_of(text)
    witness = note_of(text, "witness.example").splitlines()[-1]
    assert read_checkpoint(f"{text}\n{witness}\n{note.splitlines()[-1]}\n", [LOG]).size == 5
    with pytest.raises(ValueError, match="no valid signature"):
        read_checkpoint(f"{text}\n{witness}\n", [LOG])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "loopwright/bench\n5\n",
        "loopwright/bench\n05\n" + "A" * 43 + "=\n",
        "loopwright/bench\n5\nAAAA\n",
        "a\n5\nb\nextra\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a checkpoint"):
        read_text(text)


def test_tile_names_are_those_of_the_specification() -> None:
    assert Tile(0, 1_234_067, 112).name == "tile/0/x001/x234/067.p/112"
    assert Tile(-1, 0).name == "tile/entries/000"


def test_tiles_of_a_tree_are_those_of_the_specification() -> None:
    """Its example: a tree of 70,000 entries, and one of 256."""
    tiles = [tile for tile in tiles_of(70_000) if tile.level >= 0]
    assert sum(tile.level == 0 and tile.width == 256 for tile in tiles) == 273
    assert [tile for tile in tiles if tile.width < 256] == [Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert sum(tile.level == 1 and tile.width == 256 for tile in tiles) == 1
    assert list(tiles_of(256)) == [Tile(-1, 0), Tile(0, 0), Tile(1, 0, 1)]
    assert list(tiles_of(0)) == []


@given(st.integers(-1, 63), st.integers(0, 10**10), st.integers(1, 256))
def test_a_tile_name_says_which_tile(level: int, index: int, width: int) -> None:
    assert tile_at(Tile(level, index, width).name) == Tile(level, index, width)


@pytest.mark.parametrize(
    "name", ["tile/0/1", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/", "tile/x/000", "tile/0/x000/000"]
)
def test_other_names_are_no_tiles(name: str) -> None:
    with pytest.raises(ValueError, match="no tile"):
        tile_at(name)


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_a_bundle_comes_back_and_a_cut_one_is_noticed(entries: list[bytes]) -> None:
    assert unpack(pack(entries)) == entries
    if entries and entries[-1]:
        with pytest.raises(ValueError, match="ends within"):
            unpack(pack(entries)[:-1])


def test_levels_hold_roots_of_complete_tiles_only() -> None:
    hashes = [bytes([index % 256]) * 32 for index in range(70_000)]
    assert [len(level) // 32 for level in levels_of(b"".join(hashes))] == [70_000, 273, 1]


@settings(max_examples=400, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-9e15, 9e15) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
        max_leaves=8,
    )
)
def test_the_faster_encoder_writes_what_the_standard_asks_for(value: Any) -> None:
    """Python's own stands in for RFC 8785's only where the two write alike."""
    assert canonical({"value": value}) == rfc8785.dumps({"value": value})
    assert canonical([value]) == rfc8785.dumps([value])


@pytest.mark.parametrize("number", [1.733e-06, 0.0001, 9.9e-05, 1e-06, 1e-07, -1.5e-05, 1e15, 9007199254740991, 0.5])
def test_numbers_that_two_encoders_write_differently(number: float) -> None:
    assert canonical({"p": number, "q": [number]}) == rfc8785.dumps({"p": number, "q": [number]})


@pytest.mark.parametrize("value", [{1: "a"}, [{None: 1}], {"a": float("nan")}, [2**53], {"a": {1, 2}}, ["\ud800"]])
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical(value)
