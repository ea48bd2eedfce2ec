"""Pictures of the dashboard for the documentation: light, dark and on a phone, from a copy of a workspace.

    python benchmarks/screenshots.py --of demo [--output docs/pictures] [--lang en]

Chromium without a window; each picture is a PNG with a palette, below 150 kB. In the copy a recipe is proposed,
so that something waits for a person. Pages wait until the record is verified and nothing is being drawn.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from dashboard import served

LARGEST = 150_000
"""Bytes."""
PAGES = {
    "overview": "",
    "cycles": "cycles",
    "cycle": "cycle?tab=gate",
    "decisions": "decisions?request={request}",
    "lineage": "lineage?up=1&down=1",
    "recall": "recall?what=c0002/accepted",
    "reports": "reports?document=annex-iv&tab=fields",
}
DRAWN = {
    "overview": "[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg",
    "lineage": ".loopwright-graph canvas",
    "cycles": ".listing a",
    **dict.fromkeys(("cycle", "decisions", "recall", "reports"), "[data-testid=stDataFrame] canvas"),
}
"""What a page draws last."""
SHAPES = {"light": (1280, 900, "light"), "dark": (1280, 900, "dark"), "phone": (390, 844, "light")}
"""Width, height, colours."""


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium, with fonts drawn alike everywhere."""
    from playwright.sync_api import sync_playwright

    name = shutil.which("chromium") or shutil.which("chromium-browser")
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=name, args=[*flags, "--font-render-hinting=none"])
        yield found
        found.close()


def settled(page: Any, address: str) -> None:
    """Until the page is drawn and nothing moves."""
    page.goto(address)
    page.get_by_role("heading", level=1).first.wait_for(timeout=120_000)
    page.wait_for_function("!document.querySelector('[data-testid=stSkeleton], [data-testid=stStatusWidget]')", timeout=120_000)
    before, same = -1, 0
    while same < 4:
        now = page.evaluate("document.querySelectorAll('*').length")
        before, same = now, same + 1 if now == before else 0
        page.wait_for_timeout(500)


def small(png: bytes) -> bytes:
    """The same picture with a palette, of as many colours as fit."""
    from PIL import Image

    for colours in (256, 128, 64, 32):
        out = io.BytesIO()
        Image.open(io.BytesIO(png)).convert("RGB").quantize(colours, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
        if out.tell() < LARGEST:
            return out.getvalue()
    raise SystemExit(f"a picture has {out.tell()} bytes with {colours} colours, more than {LARGEST}")


def main() -> int:
    """Copy the workspace, serve it, take every picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--of", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("docs/pictures"))
    parser.add_argument("--lang", default="en")
    parser.add_argument("--only", nargs="*", default=list(PAGES))
    parser.add_argument("--whole", action="store_true", help="the whole page, however long")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        root = shutil.copytree(options.of, Path(place) / options.of.name, symlinks=True)
        _typed(root, "report", "build", "annex-iv", "--format", "json", "--language", options.lang)
        request = _proposed(root)
        with served(root) as (address, _), browser() as chromium:
            for name in options.only:
                _pictures(chromium, f"{address}/{PAGES[name].format(request=request)}", name, options)
    return 0


def _typed(root: Path, *words: str) -> str:
    command = [sys.executable, "-m", "loopwright", *words, "--workspace", str(root)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _proposed(root: Path) -> str:
    """Propose fewer steps of training; the request's first digits."""
    before, cycle, after = (root / "recipe.yaml").read_text().partition("\ncycle:")
    (root / "recipe.yaml").write_text(before + cycle + re.sub(r"steps: \d+", "steps: 180", after))
    told = json.loads(_typed(root, "propose", "--name", "shorter", "--as", "operator", "--json"))
    return told["request"][7:19]


def _pictures(chromium: Any, address: str, name: str, options: argparse.Namespace) -> None:
    for shape, (width, height, colours) in SHAPES.items():
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=colours, locale=f"{options.lang}-GB"
        )
        page = context.new_page()
        settled(page, f"{address}{'&' if '?' in address else '?'}lang={options.lang}")
        page.locator(DRAWN[name]).first.wait_for(timeout=60_000)
        page.wait_for_timeout(1500)
        if options.whole:
            tall = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
            page.set_viewport_size({"width": width, "height": min(4000, tall + 60)})
            page.wait_for_timeout(1200)
        path = options.output / f"{name}-{shape}.png"
        path.write_bytes(small(page.screenshot()))
        print(f"{path} {path.stat().st_size}")
        context.close()


if __name__ == "__main__":
    sys.exit(main())
