"""How values look on paper in each language, and that the bundled fonts can draw every character that is let through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from babel import Locale
from fontTools.ttLib import TTFont
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from markupsafe import Markup

from loopwright.errors import UsageError
from loopwright.report.charts import Chart, draw
from loopwright.report.compare import read_document
from loopwright.report.document import FactShown
from loopwright.report.format import CELL, PRINTABLE, Writer, environment, printable

WORDS = {"to": "to", "none": "none", "yes": "yes", "no": "no", "cut_cell": "[cut, {length}]"}
ENGLISH, GERMAN = (Writer(Locale.parse(name), WORDS) for name in ("en_GB", "de_DE"))
SCORE = {"value": 1, "low": -0.05, "high": 1.0, "n": 1290}


def test_the_fonts_draw_what_is_let_through(repository: Path) -> None:
    """Each weight by the two files of its family; code is set in another face, whose missing signs these have."""
    allowed = {char for char in map(chr, range(0x20, 0x10000)) if PRINTABLE.fullmatch(char)}
    folder = repository / "reports/theme/fonts"
    for weight in (400, 600):
        drawn = set[int]()
        for family in ("inter-latin", "inter-europe"):
            with TTFont(folder / f"{family}-{weight}-normal.woff2") as font:
                drawn |= font.getBestCmap().keys()
        assert {char for char in allowed if ord(char) not in drawn} == set()
    for name in (
        "Łukasz Żak",
        "Ștefan Țurcanu",
        "Jiří Dvořák",
        "Őri Győző",
        "Νίκος Παπαδόπουλος",
        "София Иванова",
        "≥ 6·P·D ≤ 10²³⁻⁴ → ½",
    ):
        assert printable(name) == name
    assert printable("a\u202eb\u200bc") == "a[U+202E]b[U+200B]c"


@given(st.text())
def test_every_text_can_be_printed(text: str) -> None:
    shown = printable(text)
    assert all(PRINTABLE.fullmatch(char) for char in shown)
    assert shown == text or "[U+" in shown


@given(st.text(max_size=200))
def test_broken_words_are_the_same_words(text: str) -> None:
    shown = ENGLISH.text(text)
    assert Markup(shown.replace("<wbr>", "")).unescape() == printable(text)
    assert "<" not in shown.replace("<wbr>", "")


@pytest.mark.parametrize(
    ("how", "value", "english", "german"),
    [
        ("number", 1234567, "1,234,567", "1.234.567"),
        ("number", -0.25, "\u22120.250", "\u22120,250"),
        ("number", 3.5e21, "3.50 \u00d7 10²¹", "3,50 \u00d7 10²¹"),
        ("number", 0.00002, "2.00 \u00d7 10⁻⁵", "2,00 \u00d7 10⁻⁵"),
        ("number", 0.0, "0.000", "0,000"),
        ("power", 9.999e22, "1.00 \u00d7 10²³", "1,00 \u00d7 10²³"),
        (
            "signs",
            "\u2265 2.8e+12 FLOP (\u2265 6·P·D)",
            "\u2265 2.8 \u00d7 10¹² FLOP (\u2265 6·P·D)",
            "\u2265 2,8 \u00d7 10¹² FLOP (\u2265 6·P·D)",
        ),
        ("signs", "10^12", "10¹²", "10¹²"),
        ("signed", 0.0712, "+0.071", "+0,071"),
        ("share", 0.375, "37.5\u00a0%", "37,5\u00a0%"),
        ("probability", 0.00004, "< 0.0001", "< 0,0001"),
        ("probability", 0.0, "0", "0"),
        ("bytes", 1_234_567, "1.2\u00a0MB", "1,2\u00a0MB"),
        ("seconds", 0.44, "0.4\u00a0s", "0,4\u00a0s"),
        ("seconds", 59.97, "1\u00a0min 00\u00a0s", "1\u00a0min 00\u00a0s"),
        ("seconds", 3720.0, "1\u00a0h 02\u00a0min", "1\u00a0h 02\u00a0min"),
        ("time", "2026-11-22T23:02:45.120-01:00", "23 November 2026, 00:02:45 UTC", "23. November 2026, 00:02:45 UTC"),
        ("time", "2027-03-01", "1 March 2027", "1. März 2027"),
        ("time", "soon", "soon", "soon"),
        ("cell", None, "none", "none"),
        ("cell", True, "yes", "yes"),
        ("cell", SCORE, "1.000 (\u22120.050 to 1.000, n\u00a01,290)", "1,000 (\u22120,050 to 1,000, n\u00a01.290)"),
        ("cell", "<b>", "&lt;b&gt;", "&lt;b&gt;"),
    ],
)
def test_values_as_a_person_reads_them(how: str, value: Any, english: str, german: str) -> None:
    assert (str(getattr(ENGLISH, how)(value)), str(getattr(GERMAN, how)(value))) == (english, german)


def test_digests_are_whole_and_long_cells_are_cut() -> None:
    shown = str(ENGLISH.cell("sha256:" + "0123456789abcdef" * 4))
    assert " 01234567 89abcdef" * 4 in shown
    assert str(ENGLISH.cell("a " * CELL)).endswith("[cut, 2,400]")


def test_templates_fail_on_what_they_do_not_know_and_escape_what_they_do() -> None:
    engine = environment()
    assert engine.from_string("{{ a }}").render(a="<b>") == "&lt;b&gt;"
    with pytest.raises(UndefinedError):
        engine.from_string("{{ nothing }}").render()
    with pytest.raises(ValueError, match="not there"):
        engine.from_string("{{ a }}").render(a=None)


def test_only_versions_of_one_document_are_compared(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(UsageError, match="no document of schema 2"):
        read_document(tmp_path / "x.json")
    with pytest.raises(UsageError, match="cannot be read"):
        read_document(tmp_path / "y.json")


def test_a_table_that_is_too_wide_for_the_terminal_is_told_in_paragraphs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No name that somebody has to type is taken apart."""
    from loopwright.cli import tables

    rows = [
        ("bill-of-materials", "Bill of materials of the AI system", "national-authority, downstream"),
        ("cycle", "[b]x[/b]", "internal"),
    ]
    heads = ("document", "title", "audiences")
    for width, first in ((160, "document"), (40, "bill-of-materials")):
        monkeypatch.setattr(tables, "WIDE", width)
        tables.print_rows(heads, rows)
        out = capsys.readouterr().out
        assert out.split()[0] == first
        assert all(name in out.split() for name in ("bill-of-materials", "cycle", "national-authority,", "[b]x[/b]"))
        assert max(map(len, out.splitlines())) <= width


def test_a_figure_bears_what_models_wrote_as_text() -> None:
    """A character that XML has not would end the drawing library, and the process with it."""
    rows = [["\x00<script>\u202e" + "W" * 10**6, 1], ["b", 2]]
    shown = FactShown(
        path="eval.slices", label="Scores", show="table", unit="", digits=None, method="counted", evidence=(),
        value={"columns": ["group", "count"], "heads": ["Group", "Number"], "rows": rows},
    )  # fmt: skip
    drawn = draw(shown, Chart(kind="bars", x="group", y=("count",)), ENGLISH, lambda _, cell: cell)
    assert drawn is not None
    assert b"[U+0000]" in drawn[0]
    assert b"<script" not in drawn[0]
    assert len(drawn[0]) < 20_000
