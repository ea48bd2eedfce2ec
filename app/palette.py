"""Colours, from the one file that app, charts and documents share: `reports/theme/palette.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

__all__ = ["FILE", "contrast", "palette"]

FILE = Path(__file__).resolve().parent.parent / "reports" / "theme" / "palette.yaml"


@cache
def palette(theme: str) -> Mapping[str, Any]:
    """Colours of ``light`` or ``dark`` by what they are for; ``series`` is a list."""
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))[theme]


def contrast(one: str, other: str) -> float:
    """Contrast of two colours ``#rrggbb``, 1 to 21 (WCAG 2.2, relative luminance)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
