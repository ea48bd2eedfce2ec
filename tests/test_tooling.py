"""The tools around the code do what they say: the log of long tests, the installer's list, the skips in CI."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def slow_log(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("slow_log", repository / "tests" / "slow_log.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_log_keeps_its_shape(slow_log: ModuleType, repository: Path, tmp_path: Path) -> None:
    log = tmp_path / "LOG.md"
    log.write_text((repository / "docs" / "LOG.md").read_text(encoding="utf-8"), encoding="utf-8")
    before = log.read_text(encoding="utf-8").splitlines()
    slow_log.note(log, slow_log.row("abc", Counter(passed=12, failed=1), 90.0))
    after = log.read_text(encoding="utf-8").splitlines()
    (added,) = [line for line in after if line not in before]
    assert after[after.index(added) - 1].startswith("|---")
    assert [cell.strip() for cell in added.strip("|").split("|")][1:] == ["abc", "12", "1", "0", "1.5"]
    assert [line for line in after if line != added] == before


def test_the_log_refuses_a_file_without_its_table(slow_log: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "LOG.md").write_text("# Log\n")
    with pytest.raises(ValueError, match="lacks the table"):
        slow_log.note(tmp_path / "LOG.md", "| x |\n")


SKIPS_A_TEST = """
import pytest

def test_skips(): pytest.skip("no such thing")

@pytest.mark.xfail(reason="known")
def test_expected(): assert False

def test_passes(): pass
"""
SKIPS_ITSELF = """
import pytest

pytest.importorskip("no_such_module")
"""


@pytest.mark.parametrize("ci", ["", "true"], ids=["laptop", "CI"])
def test_only_a_laptop_may_skip(repository: Path, tmp_path: Path, ci: str) -> None:
    (tmp_path / "conftest.py").write_text((repository / "tests" / "conftest.py").read_text())
    (tmp_path / "test_one.py").write_text(SKIPS_A_TEST)
    (tmp_path / "test_file.py").write_text(SKIPS_ITSELF)
    pytest_options = ["-q", "-c", os.devnull, "--rootdir", str(tmp_path), "--continue-on-collection-errors"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *pytest_options, str(tmp_path)],
        env={**os.environ, "CI": ci, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert ("1 passed, 2 skipped, 1 xfailed" in done.stdout) is not bool(ci), done.stdout
    assert ("1 failed, 1 passed, 1 xfailed, 1 error" in done.stdout) is bool(ci), done.stdout
    assert done.stdout.count("skipped in CI") >= (2 if ci else 0)
    assert bool(done.returncode) is bool(ci)


@pytest.fixture
def fake_debian(tmp_path: Path) -> Run:
    """Runs .ci/system-deps of a copy against stand-ins for dpkg and apt; apt's stand-in writes down what it was told."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (tmp_path / ".ci").mkdir()
    (tmp_path / "calls").touch()

    def program(name: str, body: str) -> None:
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)

    def run(repository: Path, *, packages: str, installed: str, root: bool) -> subprocess.CompletedProcess[str]:
        (tmp_path / "packages.txt").write_text(packages)
        (tmp_path / ".ci" / "system-deps").write_text((repository / ".ci" / "system-deps").read_text())
        program("dpkg-query", f'for last; do :; done; case " {installed} " in *" $last "*) printf installed;; *) exit 1;; esac')
        program("apt-get", f'echo "$@" >> {tmp_path}/calls')
        program("apt-cache", '[ "$2" = beta ] || exit 0; echo "  Candidate: 1.2"')
        program("id", f"echo {0 if root else 1000}")
        return subprocess.run(
            ["bash", str(tmp_path / ".ci" / "system-deps")],
            env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
            check=False,
            capture_output=True,
            text=True,
        )

    return run


PACKAGES = "# a comment\ngit\nalpha | beta\n"


def test_system_packages_that_are_there_need_no_network(fake_debian: Run, repository: Path, tmp_path: Path) -> None:
    done = fake_debian(repository, packages=PACKAGES, installed="git beta", root=True)
    assert (done.returncode, done.stdout, (tmp_path / "calls").read_text()) == (0, "system-deps: all there\n", "")


def test_system_packages_are_installed_as_root(fake_debian: Run, repository: Path, tmp_path: Path) -> None:
    done = fake_debian(repository, packages=PACKAGES, installed="git", root=True)
    assert done.returncode == 0, done.stderr
    update, install = (tmp_path / "calls").read_text().splitlines()
    assert update.startswith("update")
    assert install.startswith("install")
    assert install.split()[-1] == "beta"  # alpha has no candidate
    assert "git" not in install.split()


def test_system_packages_are_named_to_anyone_else(fake_debian: Run, repository: Path, tmp_path: Path) -> None:
    done = fake_debian(repository, packages=PACKAGES, installed="beta", root=False)
    assert done.returncode == 1
    assert "sudo apt-get install --no-install-recommends git\n" in done.stderr
    assert (tmp_path / "calls").read_text() == ""


@pytest.mark.parametrize(("loops", "others", "code"), [(0, 0, 0), (1, 0, 1), (0, 2, 2), (5, 0, 0), (5, 1, 1)])
def test_either_half_of_the_tests_fails_the_whole(repository: Path, tmp_path: Path, loops: int, others: int, code: int) -> None:
    """5 is pytest's word for nothing asked for in this half."""
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / "tests" / "run").mkdir(parents=True)
    (tmp_path / ".ci" / "test").write_text((repository / ".ci" / "test").read_text())
    pytest_ = tmp_path / ".venv" / "bin" / "pytest"
    pytest_.write_text(f'#!/bin/sh\necho "$@"\ncase "$*" in *--ignore=tests/run*) exit {others};; *) exit {loops};; esac\n')
    pytest_.chmod(0o755)
    done = subprocess.run(["bash", str(tmp_path / ".ci" / "test"), "-k", "a word"], check=False, capture_output=True, text=True)
    assert done.returncode == code
    assert sorted(line for line in done.stdout.splitlines() if line.startswith("-m")) == [
        "-m not slow tests --ignore=tests/run -k a word",
        "-m not slow tests/run -k a word",
    ]
