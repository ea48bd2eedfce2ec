"""How values look on paper, and that the bundled fonts can draw every character that is let through."""

from __future__ import annotations

from pathlib import Path

import pytest
from fontTools.ttLib import TTFont
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from loopwright.report.format import FILTERS, PRINTABLE, environment, printable


def test_the_fonts_draw_what_is_let_through(repository: Path) -> None:
    allowed = {char for char in map(chr, range(0x20, 0x10000)) if PRINTABLE.fullmatch(char)}
    files = sorted((repository / "reports/theme/fonts").glob("*.woff2"))
    assert len(files) == 3
    for file in files:
        with TTFont(file) as font:
            assert {char for char in allowed if ord(char) not in font.getBestCmap()} == set(), file.name


@given(st.text())
def test_every_text_can_be_printed(text: str) -> None:
    shown = printable(text)
    assert all(PRINTABLE.fullmatch(char) for char in shown)
    assert shown == text or "[U+" in shown


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("number", 1234567, "1\u00a0234\u00a0567"),
        ("number", -0.25, "\u22120.250"),
        ("signed", 0.0712, "+0.071"),
        ("signed", -0.01, "\u22120.010"),
        ("signed", 0.0, "0.000"),
        ("interval", {"low": -0.05, "high": 0.1}, "\u22120.050 to 0.100"),
        ("probability", 0.00004, "< 0.0001"),
        ("probability", 0.0, "0.0000"),
        ("seconds", 0.44, "0.4 s"),
        ("seconds", 59.97, "1 min 00 s"),
        ("seconds", 3720.0, "1 h 02 min"),
        ("time", "2026-11-22T09:02:45.120Z", "2026-11-22 09:02:45 UTC"),
        ("digest", "sha256:" + "0123456789abcdef" * 4, "sha256" + " 01234567 89abcdef" * 4),
        ("digest", "none", "none"),
    ],
)
def test_values_as_a_person_reads_them(name: str, value: object, shown: str) -> None:
    assert FILTERS[name](value) == shown


def test_templates_fail_on_what_they_do_not_know_and_escape_what_they_do() -> None:
    engine = environment()
    assert engine.from_string("{{ a }}|{{ b }}").render(a="<b>", b=None) == "&lt;b&gt;|NOT PROVIDED"
    with pytest.raises(UndefinedError):
        engine.from_string("{{ nothing }}").render()
