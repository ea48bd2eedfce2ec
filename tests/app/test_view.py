"""What the page of cycles says for every state of a loop, without a browser."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from app.chart import describe, score_curve
from app.view import WORKSPACE, Point, View, load, workspace
from tests.report.recorded import Recorder, record_loop


def figures(view: View) -> dict[str, tuple[str, str]]:
    return {figure.label: (figure.value, figure.note) for figure in view.figures}


def test_no_ledger_says_the_next_command(tmp_path: Path) -> None:
    view = load(tmp_path)
    assert (view.figures, view.points, view.rows, view.live) == ((), (), (), False)
    [notice] = view.notices
    assert notice.command == "loopwright init lab && cd lab && loopwright run"
    assert str(tmp_path) in notice.detail


def test_no_cycle_yet(tmp_path: Path) -> None:
    view = load(record_loop(tmp_path / "lab", 0))
    assert [notice.command for notice in view.notices] == ["", "loopwright run"]
    assert "demonstration key, not a person" in view.notices[0].title
    assert view.rows == view.figures == ()


def test_a_loop_at_rest(tmp_path: Path) -> None:
    view = load(record_loop(tmp_path / "lab", 4, demo=False))
    assert (view.title, view.live, view.notices) == ("Cycles of lab", False, ())
    shown = figures(view)
    assert shown["Champion"] == ("c0002", "sealed 0.270 (0.222 to 0.324, n 290)")
    assert shown["Last decision"] == ("Rejected", "c0003, gain \u22120.010 (\u22120.051 to 0.031)")
    assert shown["Last sealed score"] == ("0.260", "0.213 to 0.313, n 290")
    assert shown["Record"][0] == "35 entries"
    assert view.reasons[0].startswith("paired gain -0.010")
    assert [row["Cycle"] for row in view.rows] == ["c0003", "c0002", "c0001", "c0000"]
    assert [row["Decision"] for row in view.rows] == ["rejected", "promoted (champion)", "promoted", "promoted"]
    assert (view.rows[0]["Accepted"], view.rows[0]["Refused"]) == (750, 4050)
    assert view.rows[0]["Wall time"] == pytest.approx(45.0, abs=0.1)
    assert (view.rows[-1]["Accepted"], view.rows[-1]["Gain"]) == (None, "not tested")
    assert view.methods == "wilson 95%"


def test_an_open_cycle_is_live(tmp_path: Path) -> None:
    view = load(record_loop(tmp_path / "lab", 4, running=True))
    assert view.live
    assert view.notices[-1].title.startswith("c0004 is open: 3 phases done, now train.")
    assert view.rows[0]["Decision"] == "open"
    assert view.rows[0]["Sealed"] is None
    assert len(view.points) == 8


def test_a_failed_phase_says_what_to_do_until_it_is_done(tmp_path: Path) -> None:
    root = record_loop(tmp_path / "lab", 1, failed=True)
    view = load(root)
    assert view.notices[-1].kind == "error"
    assert view.notices[-1].title.startswith("The train phase of c0001 failed at attempt 1.")
    assert view.notices[-1].detail.startswith("InfraError: disk full")
    assert view.notices[-1].command == "loopwright run"
    assert view.rows[0]["Decision"] == "open, failed"


def test_who_is_checking_the_builder(tmp_path: Path) -> None:
    root = record_loop(tmp_path / "lab", 4, running=True)
    view = load(root)
    rows = {row["Phase"]: row for row in view.checks}
    assert list(rows) == ["generate", "verify"], "of the open cycle, as far as it has come"
    assert rows["generate"]["Checked by"].startswith("verifier ")
    assert rows["generate"]["Shared key or ancestor"] == "none"
    assert rows["generate"]["Shared code"] == "domains, models"
    assert (rows["verify"]["Checked by"], rows["verify"]["Shared code"], rows["verify"]["Verdict"]) == (
        None,
        None,
        "not checked",
    )
    assert view.answer.startswith("c0004: 1 of 2 phases were checked by another one")
    whole = load(root, "c0003")
    assert [row["Verdict"] for row in whole.checks] == ["independent"] * 3 + ["not checked"] * 3
    assert whole.answer.startswith("c0003: 3 of 6 phases were checked")
    assert load(root, "c9999").answer == view.answer


def test_a_failure_that_was_overcome_is_no_alarm(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "lab")
    recorder.turn(0)
    recorder.open(1)
    recorder.failure("generate", 1, "a node was lost")
    recorder.phase("generate", 1)
    recorder.done()
    assert [notice.kind for notice in load(tmp_path / "lab").notices] == ["info", "info"]


def test_the_first_cycle_as_it_runs(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "lab", demo=False)
    recorder.open(0)
    view = load(tmp_path / "lab")
    assert "0 phases done, now seed" in view.notices[0].title
    assert figures(view)["Champion"][0] == figures(view)["Last decision"][0] == "None yet"
    for phase in ("seed", "train", "evaluate", "examine"):
        recorder.phase(phase, 0)
    recorder.done()
    assert "now decide" in load(tmp_path / "lab").notices[0].title


def test_a_damaged_record_is_said(tmp_path: Path) -> None:
    root = record_loop(tmp_path / "lab", 1)
    (root / ".loopwright/state.db").write_bytes(b"no database at all" * 400)
    view = load(root)
    assert [(notice.kind, notice.title) for notice in view.notices] == [("error", "The record cannot be read.")]
    assert view.notices[0].command


def test_the_workspace_comes_by_argument_or_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["app.py"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(WORKSPACE, raising=False)
    assert workspace() == tmp_path
    monkeypatch.setenv(WORKSPACE, str(tmp_path / "a"))
    assert workspace() == tmp_path / "a"
    monkeypatch.setattr("sys.argv", ["app.py", "b"])
    assert workspace() == tmp_path / "b"


def test_the_curve_has_bands_marks_and_words(tmp_path: Path) -> None:
    points = load(record_loop(tmp_path / "lab", 4)).points
    spec = score_curve(points).to_dict()
    kinds = [layer["mark"]["type"] for layer in spec["layer"]]
    assert kinds == ["area", "line", "point"]
    assert spec["layer"][0]["encoding"]["y"]["field"] == "low"
    assert spec["layer"][0]["encoding"]["y2"]["field"] == "high"
    shape = spec["layer"][2]["encoding"]["shape"]["scale"]
    assert dict(zip(shape["domain"], shape["range"], strict=True)) == {"promoted": "circle", "rejected": "triangle-down"}
    assert "http" not in json.dumps({key: value for key, value in spec.items() if key != "$schema"})
    assert "c0003 Sealed suite 0.260, 0.213 to 0.313, rejected" in describe(points)


def test_every_decision_has_a_mark() -> None:
    told = ("promoted", "rejected", "on hold", "halted", "open", "unknown")
    points = [
        Point(cycle=f"c{at:04d}", suite="Gate suite", value=0.1, low=0, high=1, n=9, method="m", decision=decision)
        for at, decision in enumerate(told)
    ]
    assert len(set(score_curve(points, dark=True).to_dict()["layer"][2]["encoding"]["shape"]["scale"]["range"])) == 6


def contrast(first: str, second: str) -> float:
    """WCAG 2.2 contrast ratio."""

    def light(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((light(first), light(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_theme_can_be_read_and_stays_at_home(repository: Path) -> None:
    config = tomllib.loads((repository / "app/.streamlit/config.toml").read_text())
    assert config["server"]["address"] == "127.0.0.1"
    assert config["browser"]["gatherUsageStats"] is False
    assert config["client"]["showErrorDetails"] == "none"
    for name in ("light", "dark"):
        theme = config["theme"][name]
        for ground in ("backgroundColor", "secondaryBackgroundColor"):
            for ink in ("textColor", "grayTextColor", "primaryColor"):
                assert contrast(theme[ink], theme[ground]) >= 4.5, (name, ink, ground)
        for line in theme["chartCategoricalColors"]:
            assert contrast(line, theme["backgroundColor"]) >= 3, (name, line)
    for face in config["theme"]["fontFaces"]:
        assert face["url"].startswith("app/static/")
        served = repository / "app" / face["url"].removeprefix("app/")
        assert served.read_bytes() == (repository / "reports/theme/fonts" / served.name).read_bytes()
