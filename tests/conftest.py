"""What every test stands on: a home of its own, a git identity, no telemetry, and no silent skips in CI.

Keys, tokens and caches of the program live under the home folder, so the tests get a throw-away one before anything is
imported; it is one for the whole run, since workspaces that several tests share keep their keys in it. A test that
wants an empty one asks for `fresh_home`.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).parents[1]
_HOME = Path(tempfile.mkdtemp(prefix="loopwright-home-"))
_ENVIRONMENT = {
    "HOME": str(_HOME),
    "XDG_CONFIG_HOME": str(_HOME / ".config"),
    "XDG_CACHE_HOME": str(_HOME / ".cache"),
    "XDG_DATA_HOME": str(_HOME / ".local" / "share"),
    "DVC_SITE_CACHE_DIR": str(_HOME / "dvc-site-cache"),
    "DVC_NO_ANALYTICS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Test Author",
    "GIT_AUTHOR_EMAIL": "author@example.org",
    "GIT_COMMITTER_NAME": "Test Author",
    "GIT_COMMITTER_EMAIL": "author@example.org",
    "OMP_NUM_THREADS": "1",
    # `dvc repro` starts `loopwright` by name, as it does in an activated environment.
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
}
os.environ.update(_ENVIRONMENT)
# A database, a cluster or a virtual environment that the person happens to use is not the tests'.
for _name in ("RAY_ADDRESS", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
    os.environ.pop(_name, None)


def _in_ci() -> bool:
    return bool(os.environ.get("CI"))


def pytest_unconfigure() -> None:
    """Remove the throw-away home."""
    shutil.rmtree(_HOME, ignore_errors=True)


def _never_skipped_in_ci(report: pytest.TestReport | pytest.CollectReport) -> None:
    if _in_ci() and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: skipped in CI, where nothing may be missing ({reason})"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one: what it needs belongs into packages.txt or requirements.lock."""
    report = yield
    _never_skipped_in_ci(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a file that skips itself as a whole."""
    report = yield
    _never_skipped_in_ci(report)
    return report


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return _REPOSITORY


@pytest.fixture(scope="session")
def require() -> Callable[..., None]:
    """``require("bwrap", "ray")``: each is a program on PATH or an importable module, else the test is skipped.

    With ``CI`` set it fails instead.
    """

    def check(*names: str) -> None:
        missing = [name for name in names if shutil.which(name) is None and importlib.util.find_spec(name) is None]
        if missing and _in_ci():
            pytest.fail(f"missing: {', '.join(missing)}", pytrace=False)
        if missing:
            pytest.skip(f"needs {', '.join(missing)} (make system-deps, make setup)")

    return check


@pytest.fixture
def fresh_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder for one test: no keys, no configuration."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for variable, folder in {"XDG_CONFIG_HOME": ".config", "XDG_CACHE_HOME": ".cache", "XDG_DATA_HOME": ".local/share"}.items():
        monkeypatch.setenv(variable, str(home / folder))
    return home


@pytest.fixture(scope="session")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small real loop of three closed cycles, made once for all who only read it or copy it (`tests.trace.conftest`)."""
    from tests.trace.conftest import three_cycles

    return three_cycles(tmp_path_factory.mktemp("turned"))
