"""The page as Streamlit draws it, for every state, in Streamlit's own test harness."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.view import WORKSPACE
from tests.report.recorded import HOSTILE, Recorder, record_hostile, record_loop


@pytest.fixture
def opened(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], AppTest]:
    monkeypatch.setattr("sys.argv", ["app.py"])

    def run(root: Path) -> AppTest:
        monkeypatch.setenv(WORKSPACE, str(root))
        return AppTest.from_file(repository / "app/app.py", default_timeout=30).run()

    return run


def text(page: AppTest) -> str:
    """Everything that is read, headings, boxes, plain text and small print."""
    parts = [*page.title, *page.header, *page.info, *page.error, *page.warning, *page.code, *page.text, *page.markdown]
    return "\n".join([*(part.value for part in parts), *(f"{one.label} {one.value}" for one in page.metric)])


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("none", ["There is no record here yet.", "loopwright init lab"]),
        ("fresh", ["No cycle has begun yet.", "loopwright run", "demonstration key, not a person"]),
        ("rest", ["Champion c0002", "Last decision Rejected", "Record 35 entries", "paired gain -0.010"]),
        ("running", ["c0004 is open: 3 phases done, now train.", "Champion c0002"]),
        ("failed", ["The train phase of c0004 failed at attempt 1.", "<b>No space left</b> on device", "loopwright run"]),
    ],
)
def test_each_state_is_drawn(state: str, expected: list[str], tmp_path: Path, opened: Callable[[Path], AppTest]) -> None:
    root = tmp_path / "lab"
    if state == "none":
        root.mkdir()
    else:
        record_loop(root, 0 if state == "fresh" else 4, running=state == "running", failed=state == "failed")
    page = opened(root)
    assert not page.exception
    for words in expected:
        assert words in text(page)
    assert len(page.dataframe) == (0 if state in {"none", "fresh"} else 2)
    if state == "rest":
        assert list(page.dataframe[1].value["Cycle"]) == ["c0003", "c0002", "c0001", "c0000"]


def test_who_is_checking_the_builder_is_answered_for_each_cycle(tmp_path: Path, opened: Callable[[Path], AppTest]) -> None:
    page = opened(record_loop(tmp_path / "lab", 4, running=True))
    assert "Who is checking the builder" in text(page)
    assert list(page.dataframe[0].value["Phase"]) == ["generate", "verify"]
    assert page.selectbox[0].options == ["Newest", "c0004", "c0003", "c0002", "c0001", "c0000"]
    page.selectbox[0].select("c0002").run()
    assert not page.exception
    table = page.dataframe[0].value
    assert list(table["Phase"]) == ["generate", "verify", "train", "evaluate", "examine", "decide"]
    assert list(table["Verdict"])[:3] == ["independent"] * 3
    assert list(table["Shared code"])[:3] == ["domains, models"] * 3
    assert "c0002: 3 of 6 phases were checked by another one" in text(page)


def test_written_text_is_shown_as_it_is(tmp_path: Path, opened: Callable[[Path], AppTest]) -> None:
    record_hostile(tmp_path / "lab")
    page = opened(tmp_path / "lab")
    assert not page.exception
    assert len([one for one in page.text if HOSTILE in one.value]) == 2, "reasons and method"
    assert [one.value for one in page.code if HOSTILE in one.value] != []
    for part in (*page.markdown, *page.info, *page.error, *page.title, *page.caption):
        assert "onerror" not in part.value, "nothing from the record is given to Markdown"


def test_it_follows_a_loop_to_its_end(tmp_path: Path, opened: Callable[[Path], AppTest]) -> None:
    recorder = Recorder(tmp_path / "lab")
    recorder.turn(0)
    recorder.open(1)
    page = opened(tmp_path / "lab")
    assert "c0001 is open: 0 phases done, now generate." in text(page)
    for phase in ("generate", "verify", "merge", "train", "evaluate", "decide"):
        recorder.phase(phase, 1)
    recorder.close(1)
    recorder.done()
    page.run()
    assert "is open" not in text(page)
    assert "Champion c0001" in text(page)
