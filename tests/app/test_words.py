"""Every sentence is there in every language, every number is written as the reader writes it, and every colour can be read."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from app.contents import PAGES
from app.palette import contrast, palette
from app.words import LANGUAGES, Words, language_of

SCORE = {"value": -0.0123, "low": -0.05, "high": 0.03, "n": 12_345}


def test_each_sentence_is_there_in_each_language_with_the_same_values(repository: Path) -> None:
    for path in sorted((repository / "app/words").glob("*.yaml")):
        for key, told in yaml.safe_load(path.read_text(encoding="utf-8")).items():
            assert isinstance(told, dict), (path.name, key)
            assert set(told) == set(LANGUAGES), (path.name, key)
            assert all(isinstance(text, str) and text for text in told.values()), (path.name, key)
            assert len({frozenset(re.findall(r"\{(\w+)\}", text)) for text in told.values()}) == 1, (path.name, key)


def test_each_page_has_its_files_and_each_key_in_its_code_is_a_sentence(repository: Path) -> None:
    for page in PAGES:
        assert (repository / f"app/screens/{page.name}.py").is_file()
        words = Words(page.name, "de")
        told = {
            key
            for name in (page.name, "common")
            for key in yaml.safe_load((repository / f"app/words/{name}.yaml").read_text(encoding="utf-8"))
        }
        words(f"page.{page.name}")
        words(f"section.{page.section}")
        code = "".join((repository / f"app/{folder}/{page.name}.py").read_text() for folder in ("screens", "views"))
        for key in re.findall(r'(?<![.\w])(?:here\.)?words\("([^"{}]+)"', code):
            assert key in told, (page.name, key)


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "en",
            [
                "12,345",
                "\N{MINUS SIGN}0.012 (\N{MINUS SIGN}0.050 to 0.030, n\u00a012,345)",
                "12.3%",
                "2.90\u00a0·\u00a010¹²",
                "22 Nov 2026 09:05 UTC",
                "1\u00a0h 01\u00a0min",
            ],
        ),
        (
            "de",
            [
                "12.345",
                "\N{MINUS SIGN}0,012 (\N{MINUS SIGN}0,050 bis 0,030, n\u00a012.345)",
                "12,3\u00a0%",
                "2,90\u00a0·\u00a010¹²",
                "22.11.2026 09:05 UTC",
                "1\u00a0h 01\u00a0min",
            ],
        ),
    ],
)
def test_numbers_are_the_readers(language: str, expected: list[str]) -> None:
    words = Words("common", language)
    told = [
        words.count(12_345),
        words.score(SCORE),
        words.share(0.1234, 1),
        words.size(2.9e12),
        words.time("2026-11-22T10:05:00+01:00"),
        words.span(3660),
    ]
    assert told == expected


def test_the_language_is_what_was_asked_for_then_the_browsers_then_english() -> None:
    assert [language_of(*told) for told in (("de", "en-GB"), (None, "de-AT"), ("xx", "fr-FR"), (None, None))] == [
        "de",
        "de",
        "en",
        "en",
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_and_marks_can_be_told_from_their_ground(theme: str) -> None:
    colours = palette(theme)
    for ground in ("ground", "raised"):
        for name in ("ink", "quiet", "primary", "good", "warn", "bad", "wait"):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
        assert all(contrast(colour, colours[ground]) >= 3 for colour in colours["series"]), ground
    assert contrast(colours["on_primary"], colours["primary"]) >= 4.5, "words of a primary button"


def test_the_apps_theme_is_the_palette(repository: Path) -> None:
    theme = tomllib.loads((repository / "app/.streamlit/config.toml").read_text())["theme"]
    named = {
        "primaryColor": "primary", "backgroundColor": "ground", "secondaryBackgroundColor": "raised", "textColor": "ink", "borderColor": "line",
        "grayTextColor": "quiet", "greenTextColor": "good", "orangeTextColor": "warn", "redTextColor": "bad", "violetTextColor": "wait",
        "chartCategoricalColors": "series",
    }  # fmt: skip
    for side in ("light", "dark"):
        assert {name: theme[side][name] for name in named} == {name: palette(side)[colour] for name, colour in named.items()}
    assert palette("light")["on_primary"] == "#ffffff", "Streamlit's own, whatever the primary colour is"
    assert f"color: {palette('dark')['on_primary']};" in (repository / "app/static/dark.css").read_text()
    css = (repository / "reports/theme/theme.css").read_text()
    assert {palette("light")[name] for name in ("ink", "quiet", "primary")} <= set(re.findall(r"#[0-9a-f]{6}", css))
