"""The wheel works where the repository is not: it carries its template, and a workspace starts from it."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

TEMPLATE = ("flows", "app", "reports", "cluster", "dvc.yaml", "cycles.yaml")

pytestmark = pytest.mark.slow


def run(*words: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run([str(word) for word in words], cwd=cwd, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(repository: Path, tmp_path_factory: pytest.TempPathFactory, require: Callable[..., None]) -> Path:
    """A fresh environment with the wheel in it; what the wheel needs is borrowed from the environment of the tests."""
    require("hatchling", "uv")
    folder = tmp_path_factory.mktemp("wheel")
    # uv builds the source distribution first and the wheel from that: so neither may lack a file.
    run(
        sys.executable,
        "-m",
        "uv",
        "build",
        "--offline",
        "--no-build-isolation",
        "--python",
        sys.executable,
        "--out-dir",
        folder / "dist",
        repository,
    )
    (wheel,) = (folder / "dist").glob("*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    run(
        sys.executable,
        "-m",
        "uv",
        "pip",
        "install",
        "--offline",
        "--no-deps",
        "--python",
        folder / "venv" / "bin" / "python",
        wheel,
    )
    site = Path(run(folder / "venv" / "bin" / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "venv" / "bin"


def test_the_template_is_complete(installed: Path, repository: Path, tmp_path: Path) -> None:
    package = Path(run(installed / "python", "-c", "import loopwright; print(loopwright.__path__[0])", cwd=tmp_path).strip())
    assert package.is_relative_to(installed.parent)
    template = package / "_template"
    listing = run("git", "ls-files", "-co", "--exclude-standard", "-z", *TEMPLATE, cwd=repository)
    expected = {name for name in listing.split("\0") if name and (repository / name).is_file()}
    shipped = {path.relative_to(template).as_posix() for path in template.rglob("*") if path.is_file()}
    assert {name.partition("/")[0] for name in expected} == set(TEMPLATE)
    assert expected - shipped == set()
    assert {name for name in shipped - expected if name.endswith(".pyc")} == set()
    for name in expected:
        assert (template / name).read_bytes() == (repository / name).read_bytes(), name


def test_a_workspace_starts_from_the_wheel(installed: Path, tmp_path: Path, fresh_home: Path) -> None:
    run(installed / "loopwright", "init", "lab", cwd=tmp_path)
    made = {path.relative_to(tmp_path / "lab").as_posix() for path in (tmp_path / "lab").rglob("*")}
    assert {"loop.yaml", "dvc.yaml", "cycles.yaml", "flows/cycle.py", "cluster/local.yaml", "ledger"} <= made
    run(installed / "loopwright", "config", "check", cwd=tmp_path / "lab")
    assert run("git", "status", "--porcelain", cwd=tmp_path / "lab") == ""
