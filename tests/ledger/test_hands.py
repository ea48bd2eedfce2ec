"""What persons sign with: the real ssh-agent, a token played by a small agent, files behind a passphrase."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from loopwright.errors import RefusedError, UsageError, WorkspaceError
from loopwright.ledger.hands import hands_here, make_person, open_person, public_file
from loopwright.ledger.keys import config_home, public_bytes
from loopwright.ledger.principals import SK_SSH, Principal, principal_id, read_principal, signed_by
from loopwright.ledger.sshagent import agent_keys, read_public

WORDS = b"a passphrase of some length"


def holder(public: bytes, **more: str) -> Principal:
    told = {"id": principal_id(public), "role": "person", "kind": "person", "custody": "ssh-agent"}
    return read_principal({**told, "public_key": base64.b64encode(public).decode(), **more}, demo=False)


# ------------------------------------------------------------------------------------------------ the real agent


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, require: Callable[..., None]) -> Iterator[Path]:
    """A real ssh-agent with an Ed25519 and an RSA key; the former's ``.pub`` file."""
    require("ssh-agent", "ssh-add", "ssh-keygen")
    where = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(where)], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(where))
        for kind in ("ed25519", "rsa"):
            subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", tmp_path / kind, "-C", kind], check=True)
            subprocess.run(["ssh-add", "-q", tmp_path / kind], check=True)
        yield tmp_path / "ed25519.pub"
        process.terminate()


def test_a_signature_of_the_real_agent_verifies_as_a_plain_one(agent: Path) -> None:
    [key] = agent_keys()
    assert key == read_public(agent)
    assert (key.scheme, key.custody) == ("ed25519", "ssh-agent")
    signature = key.sign(b"exactly this")
    assert signed_by(holder(key.public_key), signature, b"exactly this")
    assert not signed_by(holder(key.public_key), signature, b"exactly that")


def test_what_the_agent_does_not_hold_is_refused(agent: Path) -> None:
    subprocess.run(["ssh-add", "-q", "-D"], check=True, stderr=subprocess.DEVNULL)
    assert agent_keys() == []
    with pytest.raises(RefusedError, match="does not sign with this key"):
        read_public(agent).sign(b"message")


def test_other_keys_are_no_keys(agent: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="of type ssh-rsa"):
        read_public(tmp_path / "rsa.pub")
    for text in ("", "ssh-ed25519", "ssh-ed25519 !!!!", "ssh-ed25519 AAAA"):
        (tmp_path / "odd.pub").write_text(text)
        with pytest.raises(UsageError, match="no OpenSSH public key"):
            read_public(tmp_path / "odd.pub")


def test_without_an_agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key = token_key(Ed25519PrivateKey.generate())
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    assert agent_keys() == []
    (tmp_path / "t.pub").write_text(key)
    with pytest.raises(UsageError, match="SSH_AUTH_SOCK"):
        read_public(tmp_path / "t.pub").sign(b"m")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "nobody"))
    with pytest.raises(RefusedError, match="does not answer"):
        agent_keys()


# ------------------------------------------------------------------------------------------------ a token


def string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def token_blob(key: Ed25519PrivateKey) -> bytes:
    return string(SK_SSH.encode()) + string(public_bytes(key)) + string(b"ssh:")


def token_key(key: Ed25519PrivateKey) -> str:
    return f"{SK_SSH} {base64.b64encode(token_blob(key)).decode()} token"


def token_signature(key: Ed25519PrivateKey, message: bytes, flags: int, counter: int = 7) -> bytes:
    """As PROTOCOL.u2f says: the token signs SHA256(application), flags, counter and SHA256(message)."""
    said = bytes([flags]) + struct.pack(">I", counter)
    signed = hashlib.sha256(b"ssh:").digest() + said + hashlib.sha256(message).digest()
    return string(SK_SSH.encode()) + string(key.sign(signed)) + said


def exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += connection.recv(count - len(data)) or pytest.fail("the client went away")
    return data


@contextlib.contextmanager
def small_agent(where: Path, answer: Callable[[bytes], bytes]) -> Iterator[None]:
    """Answers every question by a function, on a real socket."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(where))
        server.listen()
        server.settimeout(0.02)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    connection, _ = server.accept()
                    connection.settimeout(20)
                    with connection:
                        (length,) = struct.unpack(">I", exactly(connection, 4))
                        connection.sendall(string(answer(exactly(connection, length))))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize(("flags", "counts"), [(1, True), (5, True), (0, False), (4, False)])
def test_a_tokens_signature_counts_only_with_a_touch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: int, counts: bool
) -> None:
    key = Ed25519PrivateKey.generate()

    def answer(asked: bytes) -> bytes:
        if asked[0] == 11:
            return b"\x0c" + struct.pack(">I", 1) + string(token_blob(key)) + string(b"token")
        length = struct.unpack(">I", asked[1:5])[0]
        assert asked[5 : 5 + length] == token_blob(key)
        message = asked[9 + length : -4]
        return b"\x0e" + string(token_signature(key, message, flags))

    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "a"))
    with small_agent(tmp_path / "a", answer):
        [held] = agent_keys()
        assert (held.custody, held.scheme, held.application) == ("sk-ssh", SK_SSH, "ssh:")
        signature = held.sign(b"exactly this")
    assert len(signature) == 69
    principal = holder(public_bytes(key), scheme=SK_SSH, application="ssh:")
    assert signed_by(principal, signature, b"exactly this") is counts
    assert not signed_by(principal, signature, b"exactly that")
    assert not signed_by(holder(public_bytes(key), scheme=SK_SSH, application="web:"), signature, b"exactly this")
    assert not signed_by(principal, signature[:64], b"exactly this")
    changed = bytearray(signature)
    changed[-1] ^= 1
    assert not signed_by(principal, bytes(changed), b"exactly this"), "the counter is signed"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x05",
        b"\x0c" + struct.pack(">I", 9),
        b"\x0e" + string(b"\xff\xff\xff\xff"),
        b"\x0e" + string(string(b"ssh-rsa") + string(b"x" * 64)),
        b"\x0e" + string(string(b"ssh-ed25519") + string(b"x" * 63)),
        b"\x0e" + string(string(b"ssh-ed25519") + string(b"x" * 64) + b"more"),
    ],
)
def test_an_agent_that_answers_nonsense_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "a"))
    (tmp_path / "k.pub").write_text("ssh-ed25519 " + base64.b64encode(string(b"ssh-ed25519") + string(b"k" * 32)).decode())
    with small_agent(tmp_path / "a", lambda _: answer):
        with pytest.raises(RefusedError):
            agent_keys()
        with pytest.raises(RefusedError):
            read_public(tmp_path / "k.pub").sign(b"message")


def test_a_fido_key_names_its_application_and_no_other_does() -> None:
    public = public_bytes(Ed25519PrivateKey.generate())
    for more in ({"scheme": SK_SSH}, {"application": "ssh:"}, {"scheme": "rsa"}):
        with pytest.raises(ValueError, match="FIDO2"):
            holder(public, **more)


# ------------------------------------------------------------------------------------------------ behind a passphrase


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return config_home() / "people"


def test_a_key_is_encrypted_and_opens_with_its_passphrase_alone(account: Path) -> None:
    public = make_person("ada", lambda _: WORDS)
    pem = (account / "ada.key").read_bytes()
    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert (account / "ada.key").stat().st_mode & 0o777 == 0o600
    assert hands_here() == {principal_id(public): "ada"}
    assert signed_by(holder(public), open_person("ada", lambda _: WORDS).sign(b"m"), b"m")
    assert make_person("ada", lambda _: WORDS) == public, "one that is there is used"
    with pytest.raises(RefusedError, match="does not open"):
        open_person("ada", lambda _: b"another passphrase")
    assert read_public(public_file("ada")).public_key == public


def test_a_key_that_others_read_a_short_passphrase_and_an_odd_name_are_refused(account: Path) -> None:
    with pytest.raises(UsageError, match="shorter than 12"):
        make_person("ada", lambda _: b"short")
    typed = iter((WORDS, WORDS + b"!"))
    with pytest.raises(UsageError, match="differ"):
        make_person("ada", lambda _: next(typed))
    assert not (account / "ada.key").exists()
    for name in ("../ada", "", ".ada", "a/b"):
        with pytest.raises(UsageError, match="cannot be a person's name"):
            make_person(name, lambda _: WORDS)
    make_person("ada", lambda _: WORDS)
    os.chmod(account / "ada.key", 0o640)
    with pytest.raises(WorkspaceError, match="others may read"):
        open_person("ada", lambda _: WORDS)
