"""Lineage, Recall, Audit log and Data, in Streamlit's own harness over real records."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from app.views.audit import Asked as AuditAsked
from app.views.audit import lines_of
from app.views.labelling import agreement
from app.views.recall import Asked, command_of
from app.words import Words
from loopwright.labelling import MOST, kappa, labels_of
from loopwright.ledger import Ledger
from loopwright.ledger.access import ACCESS, saw
from loopwright.ledger.signer import LocalSigner
from loopwright.types import Artifact
from tests.app.rows import ACCEPTED, REFUSED, record_rows
from tests.report.recorded import HOSTILE, digest, record_loop


@pytest.fixture(scope="module")
def with_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_rows(tmp_path_factory.mktemp("rows") / "lab")


def recall(root: Path, cycle: str, kind: str, reason: str) -> None:
    """As a person signs it."""
    bad = Artifact(kind=kind, digest=digest(cycle, kind), path=f"cycles/{cycle}/{kind}")
    said = {
        "artifact": bad.digest,
        "what": f"{cycle}/{kind}",
        "reason": reason,
        "tainted": [bad.digest],
        "name": "0001",
        "recalled_at": "2026-11-22T12:00:00.000Z",
    }
    ledger = Ledger.open(root, key_home=root / ".keys", signer=LocalSigner)
    ledger.append("recall", [bad], said, role="person", event="recall:1")
    ledger.close()


def test_lineage_says_in_words_what_is_near_and_what_was_recalled(tmp_path: Path, opened, text) -> None:
    root = record_loop(tmp_path / "lab", 4)
    page = opened(root, "lineage")
    assert "Lineage of c0002/model" in text(page), "the champion's model, where nothing is asked"
    near = page.dataframe[0].value
    assert set(near[near["where"] == "1 back"]["name"]) == {"c0002/train", "c0001/model", "c0002/archive"}
    assert "Champion" in text(page)
    farther = opened(root, "lineage", node="c0001/model", up="0", down="2").dataframe[0].value
    assert set(farther["where"]) == {"this one", "1 on", "2 on"}
    recall(root, "c0001", "model", HOSTILE)
    page = opened(root, "lineage", node="c0002/model")
    standing = dict(zip(page.dataframe[0].value["name"], page.dataframe[0].value["standing"], strict=True))
    assert standing["c0001/model"] == "Recalled"
    assert standing["c0002/model"] == "Made from recalled"
    assert "refused wherever it would be used" in text(page)
    assert "Nothing is called so." in text(opened(root, "lineage", node="<b>c0001</b>"))


def test_recall_tells_what_would_happen_and_does_nothing(tmp_path: Path, opened, text) -> None:
    root = record_loop(tmp_path / "lab", 4)
    before = {path: path.read_bytes() for path in (root / "ledger").rglob("*") if path.is_file()}
    page = opened(root, "recall", what="c0002/model", why="it's `bad`")
    told = text(page)
    assert "loopwright recall c0002/model --why 'it'\"'\"'s `bad`'" in told
    assert "No champion would be left." in told, "no model's bytes are here, so that none can be trusted"
    reached = page.dataframe[0].value
    ways = dict(zip(reached["name"], reached["way"], strict=True))
    assert ways["c0002/model"] == "c0002/model"
    assert ways["c0003/model"].startswith("c0002/model → c0003/")
    assert "c0001/model" not in ways
    assert "knows nothing by the name" in text(opened(root, "recall", what="c0042/model"))
    assert {path: path.read_bytes() for path in (root / "ledger").rglob("*") if path.is_file()} == before
    recall(root, "c0001", "accepted", HOSTILE)
    past = opened(root, "recall").dataframe[0].value
    assert list(past["reason"]) == [HOSTILE]


@pytest.mark.parametrize(
    ("by", "what"),
    [
        ("artifact", "--help"),
        ("artifact", "a; rm -rf ~"),
        ("licence", "$(id)"),
        ("rows", "a1, --rows b2"),
        ("person", "-x `y`"),
    ],
)
def test_what_stands_in_an_address_stays_one_word_of_the_command(by: str, what: str) -> None:
    said = shlex.split(command_of(Asked(by=by, what=what, why="&& true")))
    assert said[:2] == ["loopwright", "recall"]
    assert said[said.index("--why") + 1] == "&& true"
    rest = [word for word in said[2:] if word not in {"--why", "&& true"}]
    if by == "rows":
        assert rest == ["--rows", "a1", "--rows", "--rows", "--rows", "b2"]
    else:
        assert rest == (["--", what] if what == "--help" else [what] if by == "artifact" else [f"--{by}={what}"])


def test_the_audit_log_is_searched_filtered_and_shown_whole_as_text(loops: Callable[[str], Path], opened, text) -> None:
    root = loops("hostile")
    page = opened(root, "audit", kind="failure")
    assert "1 match" in text(page)
    entry = int(page.dataframe[0].value["idx"][0])
    page = opened(root, "audit", entry=str(entry), cycle="c0003", q="c0003")
    assert any(
        json.loads(one.value)["predicate"]["message"] == HOSTILE
        for one in page.code
        if one.value.startswith("{") and "predicate" in one.value
    )
    assert set(page.dataframe[0].value["cycle"]) == {"c0003"}
    assert not any(HOSTILE in part.value for part in page.markdown)
    gate = opened(root, "audit", who="gate")
    assert set(gate.dataframe[0].value["role"]) == {"gate"}
    assert "no entry 99,999" in text(opened(root, "audit", entry="99999"))
    assert "0 match" in text(opened(root, "audit", who="nobody"))
    told = [json.loads(line) for line in lines_of(root, AuditAsked(kinds=("phase",), cycle="c0002"))]
    assert [one["predicate"]["phase"] for one in told][:2] == ["decide", "examine"]
    assert len(told) == 7


def test_who_looked_is_shown_to_compliance_alone_and_a_changed_line_shows(tmp_path: Path, opened, text) -> None:
    root = record_loop(tmp_path / "lab", 1)
    saw(root, "show", "samples of c0001", by="f" * 16)
    file = next((root / ACCESS).glob("*.jsonl"))
    old = file.with_name("2026-01-01T00.jsonl")
    file.rename(old)
    ledger = Ledger.open(root, key_home=root / ".keys", signer=LocalSigner)
    ledger.anchor_access()
    ledger.close()
    assert "shown to compliance only" in text(opened(root, "audit", tab="access", roles="manager"))
    page = opened(root, "audit", tab="access", roles="compliance", q="samples")
    assert list(page.dataframe[0].value["kept"]) == ["as anchored"]
    old.chmod(0o644)
    old.write_text(old.read_text().replace("samples of c0001", "nothing") + "no json\n")
    page = opened(root, "audit", tab="access", roles="compliance", q="no")
    table = page.dataframe[0].value
    assert {"nothing", "no json"} <= set(table["subject"])
    assert set(table[table["subject"] == "nothing"]["kept"]) == {"changed since"}


def test_rows_are_browsed_with_their_reasons_and_stay_text(with_rows: Path, opened, text) -> None:
    page = opened(with_rows, "data", row="a2")
    assert "Rows of c0001" in text(page)
    assert list(page.dataframe[0].value["id"]) == ["a1", "a2", "a3"]
    assert [one.value for one in page.code].count(HOSTILE) == 2, "prompt and answer, as they were written"
    assert not any(HOSTILE in part.value for part in [*page.markdown, *page.header])
    assert list(opened(with_rows, "data", origin="human").dataframe[0].value["id"]) == ["a3"]
    refused = opened(with_rows, "data", tab="refused", reason="visible check failed")
    refused.query_params["page"] = "3"
    refused.run()
    assert "60 rows match" in text(refused)
    assert len(refused.dataframe[0].value) == 10
    assert set(refused.dataframe[0].value["reason"]) == {"visible check failed"}
    found = opened(with_rows, "data", q="x=[1]").dataframe[0].value
    assert list(found["id"]) == ["a1"], "a search is no pattern"
    lines = [json.loads(line) for file in (with_rows / ACCESS).glob("*.jsonl") for line in file.read_text().splitlines()]
    assert {"accepted rows of c0001", "refused rows of c0001"} <= {
        line["subject"] for line in lines if line["action"] == "show"
    }
    with pytest.raises(ValueError, match="Could not find"):
        opened(with_rows, "data", roles="viewer")


def test_a_table_that_is_not_the_recorded_one_is_not_shown(tmp_path: Path, opened, text) -> None:
    root = record_rows(tmp_path / "lab")
    table = root / "cycles/c0001/accepted/rows.parquet"
    table.write_bytes(table.read_bytes()[:-1] + b"?")
    page = opened(root, "data")
    assert "differs from the record" in text(page)
    assert not page.dataframe
    assert "is missing" in text(opened(root, "data", cycle="c0000")), "nor one that is not here"


def test_the_labelling_file_tells_no_verdict_and_answers_are_counted(with_rows: Path, opened, text) -> None:
    page = opened(with_rows, "data", tab="label")
    assert not page.exception
    assert "1 were judged otherwise" in text(page)
    table = page.dataframe[0].value
    assert list(table.columns) == ["id", "task", "prompt", "answer", "label"]
    known = {row["id"]: "right" for row in ACCEPTED} | {
        row["id"]: "wrong" for row in REFUSED if row["reason"] == "visible check failed"
    }
    assert set(table["id"]) <= known.keys() | {"u1"}
    assert "d1" not in set(table["id"]), "a repetition was never judged"
    assert len(table) <= MOST
    flipped = [name for name in table["id"] if known.get(name) == "wrong"][:2]
    answers = "id,label\n" + "".join(
        f"{name},{'right' if name in flipped else known.get(name, 'unsure')}\n" for name in table["id"]
    )
    one, spoilt = (
        labels_of("anna", answers.encode()),
        labels_of("bo", b'{"id": "a1", "label": "right"}\n{"id": "a2", "label": "<b>"}\n'),
    )
    assert spoilt.answers == {"a1": "right"}
    assert spoilt.problems == ["2: '<b>'"]
    assert labels_of("x", b"\xff\xfe{").problems
    [first, second, third] = agreement(Words("data", "en"), [one, spoilt], known).rows
    assert (first["other"], first["n"], first["unsure"]) == ("Verifier", len(table) - 1, 0)
    assert 0 < first["low"] < first["value"] < 1
    assert second["method"] == third["method"] == "not defined", "one row alone tells nothing"


def test_kappa_is_cohens_and_its_interval_what_resampling_gives() -> None:
    pairs = [("a", "a")] * 20 + [("a", "b")] * 5 + [("b", "a")] * 10 + [("b", "b")] * 15
    score = kappa(pairs)
    assert score is not None
    assert score.value == pytest.approx(0.4)
    draws = np.random.default_rng(7)
    told = [kappa([pairs[at] for at in draws.integers(0, 50, 50)]) for _ in range(1500)]
    spread = float(np.std([one.value for one in told if one]))
    assert (score.high - score.low) / 2 / 1.96 == pytest.approx(spread, rel=0.08)
    assert kappa([("a", "a")] * 9) is kappa([]) is None
    assert kappa([("a", "a"), ("b", "b")] * 9).value == 1
