"""A second opinion: what persons signed of the queue stands on the record; a model of the generator's kin is not asked."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loopwright.cli import app
from loopwright.errors import IntegrityError, PlanError, RefusedError, UsageError
from loopwright.external import Endpoint
from loopwright.govern.labels import cycle_of, file_of, give, suggest
from loopwright.govern.requests import Desk
from loopwright.labelling import FIELD, agreements, labels_of, queue_of, signed
from loopwright.ledger.keys import key_folder
from loopwright.ledger.verify import verify
from loopwright.workspace import Workspace, create, set_plan
from tests.app.rows import record_rows
from tests.endpoint.conftest import model_server, proxy
from tests.endpoint.proxy import Proxy
from tests.endpoint.server import NAME

__all__ = ["model_server", "proxy"]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Workspace]:
    made = create(tmp_path / "plain", demo=True)
    root = record_rows(tmp_path / "lab")
    for name in ("loop.yaml", "recipe.yaml"):
        if not (root / name).exists():
            (root / name).write_bytes((made.root / name).read_bytes())
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    keys = key_folder("w-5f2c9a10")
    shutil.rmtree(keys, ignore_errors=True)
    shutil.copytree(root / ".keys" / keys.name, keys)
    yield Workspace(root=root)
    shutil.rmtree(keys)


def no_key(_: str) -> bytes:
    raise AssertionError("a demonstration's keys have no passphrase")


def filled(lab: Workspace, place: Path, labels: dict[str, str]) -> Path:
    place.write_bytes(file_of(queue_of(lab.root, cycle_of(lab.state(), "c0001")), labels))
    return place


def test_a_signed_file_counts_and_the_newest_of_each_person_stands(lab: Workspace, tmp_path: Path) -> None:
    found = queue_of(lab.root, cycle_of(lab.state(), "c0001"))
    one = {row["id"]: found.verdicts.get(row["id"], "unsure") for row in found.rows}
    with Desk(lab, no_key) as desk:
        first = give(desk, "c0001", filled(lab, tmp_path / "first.csv", dict.fromkeys(one, "wrong")), "safety")
        other = give(desk, "c0001", filled(lab, tmp_path / "other.csv", one), "owner")
        last = give(desk, "c0001", filled(lab, tmp_path / "second.csv", one), "safety")
    assert (first["version"], last["version"]) == (1, 3)
    told = signed(lab.root, lab.state(), "c0001")
    assert {person.leaf for person in told} == {last["leaf"], other["leaf"]}
    assert all(person.answers == one for person in told)
    with_verifier = agreements(told, found.verdicts, "verifier")[0]
    assert (with_verifier.same, with_verifier.n) == (len(one) - 1, len(one) - 1)
    assert with_verifier.kappa.value == 1
    assert {one.code for one in verify(lab.root).findings} <= {"manifest-missing", "file-missing"}, (
        "of artifacts that this record only names"
    )
    [statement] = [each for each in lab.ledger().statements(last["leaf"]) if each.kind == "answer"]
    assert (statement.predicate["field"], statement.predicate["about"]) == (FIELD, "c0001")
    kept = next(path for path in (lab.root / "answers").glob("*.bin"))
    kept.chmod(0o644)
    kept.write_bytes(b"id,label\na1,right\n")
    with pytest.raises(IntegrityError, match="not what was signed"):
        signed(lab.root, lab.state(), "c0001")


@pytest.mark.parametrize(
    ("said", "why"),
    [("id,label\n", "no answer"), ("id,label\na1,maybe\n", "maybe"), ("id,label\nnobody,right\n", "nobody: no row")],
)
def test_what_nobody_was_asked_is_refused_and_nothing_is_signed(lab: Workspace, tmp_path: Path, said: str, why: str) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(said)
    with Desk(lab, no_key) as desk:
        size = desk.ledger.size
        with pytest.raises(UsageError, match=why):
            give(desk, "c0001", file, "owner")
        assert desk.ledger.size == size


def test_a_model_is_asked_unless_it_is_kin(lab: Workspace, proxy: Proxy, tmp_path: Path, capsys: Any) -> None:
    with pytest.raises(PlanError, match="names no model"):
        suggest(lab, lab.state(), "c0001")
    set_plan(lab.root, {"labeller": {"endpoint": {"url": proxy.url, "model": NAME}}})
    with pytest.raises(PlanError, match=r"prompts/label.txt cannot be read"):
        suggest(lab, lab.state(), "c0001")
    (lab.root / "prompts").mkdir(exist_ok=True)
    (lab.root / "prompts/label.txt").write_text("{task}\n{answer}\nright, wrong or unsure?")
    proxy.rewrite = lambda text: ["Right.", " wrong", "I think so"][len(text) % 3]
    place = tmp_path / "model.csv"
    app(["label", "c0001", "--suggest", str(place), "--workspace", str(lab.root), "--json"], standalone_mode=False)
    told = json.loads(capsys.readouterr().out)
    said = labels_of("model", place.read_bytes())
    assert (len(said.answers), said.problems) == (told["rows"], [])
    assert set(said.answers.values()) <= {"right", "wrong", "unsure"}
    asked = len(proxy.asked)
    assert suggest(lab, lab.state(), "c0001")[1] == said.answers
    assert len(proxy.asked) == asked, "what was paid for is kept"
    app(["label", "c0001", "--workspace", str(lab.root)], standalone_mode=False)
    assert "signed by 0" in capsys.readouterr().out


def test_kin_of_the_generator_gives_no_second_opinion(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Endpoint(url="https://models.example/v1", model="great", family="the-family")
    set_plan(lab.root, {"labeller": {"endpoint": {"url": "https://models.example/v1", "model": "great"}}})
    monkeypatch.setattr("loopwright.govern.labels.makers_of", lambda _state, _cycle: iter((endpoint.lineage,)))
    set_plan(lab.root, {"labeller.endpoint.family": "The-Family"})
    with pytest.raises(RefusedError, match="another's"):
        suggest(lab, lab.state(), "c0001")
