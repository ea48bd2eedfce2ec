"""The commands of docs/proof.md, typed as they stand there: a witness, bundles, both verifiers, openssl, model-signing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.ledger.outside import told


def test_every_command_of_the_page_works(repository: Path, require: Callable[..., None], tmp_path: Path) -> None:
    require("openssl")
    config = tmp_path / "config"
    told(tmp_path / "lab", config / "loopwright" / "keys").ledger.close()
    page = (repository / "docs" / "proof.md").read_text(encoding="utf-8")
    blocks = re.findall(r"<!-- run -->\n```sh\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 6
    script = "\n".join(blocks).replace("python3 verify_bundle.py", f"'{sys.executable}' '{_second(repository)}'")
    environment = {**os.environ, "XDG_CONFIG_HOME": str(config)}
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", script],
        cwd=tmp_path / "lab",
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for said in ("witnessed: 15 entries by witness.example.org/w1", "sound: c0001 of bench", "Verification succeeded"):
        assert said in done.stdout


def _second(repository: Path) -> Path:
    return repository / "src" / "loopwright" / "ledger" / "verify_bundle.py"
