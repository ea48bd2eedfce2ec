"""`docs/ledger-format.md` is normative, so what it shows is made by the code, and what the code says is in it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.golden.make_v1 import DOCUMENT, FOLDER, examples, refreshed


def test_every_example_is_what_the_code_writes() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert refreshed(document, FOLDER) == document
    assert set(re.findall(r"<!-- from code: (\w+) -->", document)) == set(examples(FOLDER))


def test_every_finding_is_explained(repository: Path) -> None:
    sources = (repository / "src" / "loopwright" / "ledger").glob("*.py")
    said = "".join(
        path.read_text(encoding="utf-8")
        for path in sources
        if path.name in {"audit.py", "order.py", "objects.py", "inspection.py", "consented.py", "recalled.py"}
    )
    codes = set(re.findall(r'(?:code=|add\(|_found\(|yield |index, )\s*"([a-z-]+)"', said))
    assert len(codes) > 20
    table = DOCUMENT.read_text(encoding="utf-8").partition("## 9.")[2]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE)) == codes
