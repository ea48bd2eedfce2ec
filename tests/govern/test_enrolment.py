"""Persons as they are enrolled from a terminal: each in an account of their own, names kept out of the record."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import pytest
from typer.testing import CliRunner

from loopwright.cli import app
from loopwright.errors import UsageError
from loopwright.ledger import Ledger
from loopwright.ledger.hands import launchers
from loopwright.ledger.verify import verify
from loopwright.workspace import Workspace

LOOPWRIGHT = (sys.executable, "-m", "loopwright")


class Town:
    """A workspace that several accounts share; each has a configuration folder of its own and a passphrase."""

    def __init__(self, place: Path) -> None:
        self.place, self.lab = place, place / "lab"

    def secret(self, name: str) -> Path:
        file = self.place / f"{name}.txt"
        file.write_text(f"the passphrase of {name}\n", encoding="utf-8")
        file.chmod(0o600)
        return file

    def environment(self, who: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"}
        return {**kept, "XDG_CONFIG_HOME": str(self.place / f"home-{who}")}

    def says(self, who: str, *words: str, code: int = 0) -> str:
        """The command line in this process, without a terminal, in somebody's account."""
        cwd = self.lab if self.lab.exists() else self.place
        with contextlib.chdir(cwd), mock.patch.dict(os.environ, self.environment(who), clear=True):
            done = CliRunner().invoke(app, list(words))
        told = getattr(done.exception, "exit_code", done.exit_code)
        assert told == code, (words, done.output, done.exception)
        return f"{done.output}{done.exception or ''}"

    def signs(self, who: str, *words: str, code: int = 0) -> str:
        return self.says(who, *words, "--passphrase-file", str(self.secret(who)), code=code)

    def enrolled(self) -> list[dict[str, object]]:
        return json.loads(self.says("ada", "keys", "list", "--json"))["keys"]


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ada's workspace, in which Bob is enrolled too."""
    town = Town(tmp_path_factory.mktemp("town"))
    town.signs("ada", "init", "lab", "--person", "ada")
    town.signs("bob", "keys", "new", "bob")
    public = town.place / "home-bob/loopwright/people/bob.pub"
    refused = town.signs("bob", "keys", "enrol", "bob", "--ssh", str(public), code=2)
    assert "bob is not enrolled" in refused or "who signs?" in refused
    town.signs("ada", "keys", "enrol", "bob", "--duty", "safety", "--ssh", str(public), "--custody", "passphrase")
    return town.place


@pytest.fixture
def town(founded: Path, tmp_path: Path) -> Town:
    shutil.copytree(founded, tmp_path / "town")
    return Town(tmp_path / "town")


def test_a_person_is_enrolled_by_another_and_the_record_has_no_name(town: Town) -> None:
    ada, bob = (row for row in town.enrolled() if row["role"] == "person")
    assert (ada["name"], ada["custody"], bob["name"], bob["duties"], bob["by"]) == (
        "ada",
        "passphrase",
        "bob",
        ["safety"],
        ada["key"],
    )
    published = b"".join(path.read_bytes() for path in (town.lab / "ledger").rglob("*") if path.is_file())
    statements = json.dumps([dict(one.predicate) for one in Ledger.open(town.lab).statements()]).encode()
    for name in (b"ada", b"bob"):
        assert b'"' + name + b'"' not in statements + published
    tracked = subprocess.run(["git", "grep", "-lw", "bob"], cwd=town.lab, capture_output=True, check=False)
    assert tracked.returncode == 1, "no file in git has the name"


def test_a_forgotten_person_has_no_name_and_everything_verifies(town: Town) -> None:
    town.says("ada", "keys", "forget", "bob")
    bob = [row for row in town.enrolled() if row["role"] == "person"][1]
    assert bob["name"] == bob["key"]
    assert verify(town.lab).ok
    assert "bob" not in (town.lab / ".loopwright/people.json").read_text(encoding="utf-8")
    town.says("ada", "keys", "forget", "bob", code=2)


def test_who_proposes_does_not_approve_and_another_account_does(town: Town) -> None:
    (town.lab / "recipes/more.diff").write_text("a diff\n", encoding="utf-8")
    made = town.signs("ada", "propose", "--name", "more")
    assert "approve" in made
    town.signs("ada", "approve", "recipes/more.diff", code=3)
    wrong = town.says("bob", "approve", "recipes/more.diff", "--passphrase-file", str(town.secret("ada")), code=3)
    assert "the passphrase does not open" in wrong
    assert "there is no terminal" in town.says("bob", "approve", "recipes/more.diff", code=2)
    assert "this account holds no key of ada" in town.signs("bob", "approve", "recipes/more.diff", "--as", "ada", code=2)
    [waiting] = json.loads(town.says("bob", "answer", "--json"))["requests"]
    town.says("bob", "answer", waiting["request"][7:19])
    assert "granted" in town.signs("bob", "approve", "recipes/more.diff")
    [row] = json.loads(town.says("ada", "keys", "trust", "--json"))["persons"]
    assert (row["name"], row["note"], row["answers"], row["seconds_n"]) == ("bob", "", 1, 1)


def test_who_launches_is_who_has_a_key_here_and_a_name_takes_nobody_away(town: Town) -> None:
    ada, bob = (str(row["key"]) for row in town.enrolled() if row["role"] == "person")
    roster = Workspace(root=town.lab).state().roster
    for who, name, wanted in (
        ("ada", None, (ada,)),
        ("bob", None, (bob,)),
        ("carol", None, ()),
        ("ada", "bob", (ada, bob)),
        ("ada", bob, (ada, bob)),
        ("carol", "bob", (bob,)),
    ):
        with mock.patch.dict(os.environ, town.environment(who), clear=True):
            assert launchers(town.lab, roster, name) == wanted
    with pytest.raises(UsageError, match="no enrolled person"):
        launchers(town.lab, roster, "carol")


def test_an_agent_proposes_and_its_owner_does_not_approve(town: Town) -> None:
    model = "sha256:" + "a" * 64
    town.says("ada", "keys", "enrol", "bot", "--agent", code=2)
    town.signs("ada", "keys", "enrol", "bot", "--agent", "--owner", "bob", "--model", model)
    agent = town.enrolled()[-1]
    assert (agent["name"], agent["role"], agent["model"]) == ("bot", "agent", model)
    (town.lab / "recipes/bots.diff").write_text("a diff\n", encoding="utf-8")
    town.says("ada", "propose", "--name", "bots", "--as", "bot")
    assert "owns the agent that proposed it" in town.signs("bob", "approve", "recipes/bots.diff", code=3)
    (town.lab / "recipes/persons.diff").write_text("another\n", encoding="utf-8")
    town.signs("bob", "propose", "--name", "persons")
    assert "may not sign approval" in town.says("ada", "approve", "recipes/persons.diff", "--as", "bot", code=3)
    assert "granted" in town.signs("ada", "approve", "recipes/bots.diff")


def test_a_key_is_rotated_and_a_revoked_one_signs_nothing(town: Town) -> None:
    town.signs("bob", "keys", "rotate", "bob")
    old, new = (row for row in town.enrolled() if row["name"] == "bob")
    assert (old["revoked"], new["revoked"], new["duties"]) == (3, None, ["safety"])
    town.signs("ada", "keys", "revoke", "bob", "--reason", "left")
    assert town.enrolled()[-1]["revoked"] == 4
    (town.lab / "recipes/more.diff").write_text("a diff\n", encoding="utf-8")
    town.signs("bob", "propose", "--name", "more", code=2)
    town.signs("ada", "keys", "revoke", "nobody", "--reason", "-", code=2)
    assert verify(town.lab).ok


def test_a_service_gets_a_new_key_and_the_record_goes_on(town: Town) -> None:
    before = next(row["key"] for row in town.enrolled() if row["role"] == "trainer")
    town.signs("ada", "keys", "rotate", "--role", "log")
    town.signs("ada", "keys", "rotate", "--role", "trainer")
    assert next(row["key"] for row in town.enrolled() if row["role"] == "trainer") == before
    with mock.patch.dict(os.environ, town.environment("ada")):
        ledger = Workspace(root=town.lab).ledger()
        ledger.sign_checkpoint()
        ledger.close()
    assert verify(town.lab).ok


def test_without_a_terminal_nobody_is_enrolled_and_the_message_says_how(tmp_path: Path) -> None:
    town = Town(tmp_path)
    town.says("ada", "init", "lab")
    assert [row["role"] for row in town.enrolled() if row["role"] == "person"] == []
    (town.lab / "recipes/more.diff").write_text("a diff\n", encoding="utf-8")
    assert "loopwright keys enrol NAME" in town.says("ada", "propose", "--name", "more", code=2)
    town.signs("ada", "keys", "enrol", "ada")
    assert town.enrolled()[-1]["since"] == 1


def test_at_a_terminal_the_first_person_is_asked_for(tmp_path: Path) -> None:
    town = Town(tmp_path)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*LOOPWRIGHT, "init", "lab"], cwd=tmp_path, env=town.environment("ada"), stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True,
    ):  # fmt: skip
        os.close(theirs)
        seen = _until(ours, b"your name")
        os.write(ours, b"ada\n")
        seen += _until(ours, b"new passphrase for ada's key")
        time.sleep(0.2)  # the echo is turned off just after the words
        os.write(ours, b"a passphrase that is typed\n")
        seen += _until(ours, b"again")
        time.sleep(0.2)
        os.write(ours, b"a passphrase that is typed\n")
        seen += _until(ours, b"is a workspace")
        os.close(ours)
    assert b"a passphrase that is typed" not in seen, "it is not echoed"
    assert [row["name"] for row in town.enrolled() if row["role"] == "person"] == ["ada"]
    status = subprocess.run(["git", "status", "--porcelain"], cwd=town.lab, capture_output=True, check=True)
    assert status.stdout == b""


def _until(terminal: int, words: bytes) -> bytes:
    seen = b""
    while words not in seen:
        assert select.select([terminal], [], [], 60)[0], seen
        seen += os.read(terminal, 4096)
    return seen
