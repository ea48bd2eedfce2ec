"""A long report: seconds, processor seconds a page and memory, of a document of at least sixty pages.

    python benchmarks/reports.py --like demo [--document annex-iv] [--repeats 3]

The record is a copy of ``--like`` (a finished demonstration) in which a person has answered every field of the document that the record
does not answer by itself, with a page of prose each (this project's own documentation, as plain text). Each build is a process of its own,
from nothing to the file on disk: it audits the record, draws, typesets, attaches. Prints JSON; exits 1 where a bar is missed, the document is
shorter than asked, or two builds differ in a byte.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

from pypdf import PdfReader

from loopwright.govern.answers import Given, answer_all
from loopwright.govern.requests import Desk
from loopwright.report.loading import load
from loopwright.workspace import Workspace, find

PAGES, SECONDS, CPU_A_PAGE, MEGABYTES = 60, 30.0, 0.45, 800.0
"""What the document must have; the bars."""
PROSE = ("docs/threat-model.md", "docs/proof.md", "docs/ledger-format.md")
LENGTH = 3900
"""Characters of an answer; from 4,000 on a text is cut on the page and whole in the data."""

_BUILD = """
import json, resource, sys, time
began = time.perf_counter()
from pathlib import Path
from loopwright.report import build
made = build(Path(sys.argv[1]), sys.argv[2], None, Path(sys.argv[3]), language=sys.argv[4], formats=("pdf",))
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"seconds": time.perf_counter() - began, "cpu": used.ru_utime + used.ru_stime, "megabytes": used.ru_maxrss / 1024, "file": str(made.pdf)}))
"""


def prose() -> Iterator[str]:
    """Answers: pieces of the documentation, over and over."""
    home = Path(__file__).parents[1]
    text = "\n".join((home / name).read_text("utf-8") for name in PROSE)
    return cycle(text[at : at + LENGTH] for at in range(0, len(text) - LENGTH, LENGTH))


def answered(like: Path, target: Path, document: str) -> Workspace:
    """A copy in which every field of the document that a person may answer is answered."""
    shutil.copytree(find(like).root, target, symlinks=True)
    workspace, words = Workspace(root=target), prose()
    fields = [field for field in load(target, document).declaration.fields if field.source != "auto"]
    with Desk(workspace, lambda _: b"") as desk:
        answer_all(desk, [Given(field=one.id, document=document, state="statement", text=next(words)) for one in fields])
    return workspace


def built(root: Path, document: str, folder: Path, language: str) -> dict[str, Any]:
    """One build in a process of its own; ``wall`` counts the interpreter's start, too."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, root, document, folder, language], check=True, capture_output=True, text=True
    )
    told: dict[str, Any] = json.loads(done.stdout)
    file = Path(told.pop("file"))
    pages = len(PdfReader(file).pages)
    return {
        **told, "wall": time.perf_counter() - began, "pages": pages, "cpu a page": told["cpu"] / pages, "bytes": file.stat().st_size,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }  # fmt: skip


def main() -> int:
    """Measure, print, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--like", type=Path, default=Path("demo"), help="a finished demonstration")
    parser.add_argument("--document", default="annex-iv")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        workspace = answered(options.like, Path(place) / "lab", options.document)
        runs = [
            built(workspace.root, options.document, Path(place) / f"{language}-{turn}", language)
            for turn in range(options.repeats)
            for language in ("en", "de")
        ]
    most = {key: max(run[key] for run in runs) for key in ("wall", "cpu a page", "megabytes")}
    bars = {"wall": SECONDS, "cpu a page": CPU_A_PAGE, "megabytes": MEGABYTES}
    same = len({run["sha256"] for run in runs}) == 2  # one a language
    json.dump({"document": options.document, "runs": runs, "most": most, "bars": bars, "identical": same}, sys.stdout, indent=1)
    sys.stdout.write("\n")
    return int(not same or min(run["pages"] for run in runs) < PAGES or any(most[key] > bars[key] for key in bars))


if __name__ == "__main__":
    sys.exit(main())
