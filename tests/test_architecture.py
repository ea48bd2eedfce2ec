"""The budgets and the house rules that no linter knows: sizes, what stays unimported, what may not be written down."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import grimp
import pytest

MODULE_LINES = 400
TRUSTED_CORE = ("loopwright.ledger.verify", "loopwright.gate")
TRUSTED_CORE_LINES = 3400
HEAVY = ("torch", "ray", "dvc", "dvc_data", "streamlit", "pytorch_lightning", "weasyprint")

# Each with a bracket in the middle, so that this file does not match itself.
REGISTRY_HOSTS = re.compile(r"pypi[.]org|python[h]osted|registry[.]npm|deb[.]debian|files[.]python")
MACHINE_PATHS = re.compile(r"[/]work/|[/]root/[.]|[/]home/[a-z]|[/]opt/wheels|[/]Users/")


@pytest.fixture(scope="module")
def tracked(repository: Path, require: Callable[..., None]) -> list[Path]:
    """Files that are in git, or would be after ``git add``."""
    require("git")
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=repository, check=True, capture_output=True, text=True
    )
    return [path for name in listing.stdout.split("\0") if name and (path := repository / name).is_file()]


def modules(tracked: list[Path], repository: Path, *folders: str) -> list[Path]:
    return [path for path in tracked if path.suffix == ".py" and path.relative_to(repository).parts[0] in folders]


def line_count(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_modules_stay_small(tracked: list[Path], repository: Path) -> None:
    shipped = modules(tracked, repository, "src", "flows", "app")
    assert {path.name: lines for path in shipped if (lines := line_count(path)) > MODULE_LINES} == {}


def test_every_module_says_what_it_is_for(tracked: list[Path], repository: Path) -> None:
    ours = modules(tracked, repository, "src", "flows", "app", "benchmarks", "tests")
    silent = [str(path.relative_to(repository)) for path in ours if not ast.get_docstring(ast.parse(path.read_bytes()))]
    assert silent == []


def import_closure(roots: tuple[str, ...]) -> set[str]:
    """The modules of the package that these load, directly, late or not; a module brings its parent packages with it."""
    graph = grimp.build_graph("loopwright", cache_dir=None, exclude_type_checking_imports=True)
    closure: set[str] = set()
    waiting = {root for root in roots if root in graph.modules} | {
        name for root in roots for name in graph.find_descendants(root) if root in graph.modules
    }
    assert waiting, f"none of {roots} exists"
    while waiting:
        name = waiting.pop()
        closure.add(name)
        parents = {name.rpartition(".")[0]} - {""}
        waiting |= (graph.find_modules_directly_imported_by(name) | parents) - closure
    return closure


def test_the_trusted_core_can_be_read_in_an_afternoon(repository: Path) -> None:
    closure = import_closure(TRUSTED_CORE)
    assert set(TRUSTED_CORE) <= closure

    def source(module: str) -> Path:
        path = repository / "src" / Path(*module.split("."))
        return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")

    sizes = {module: line_count(source(module)) for module in sorted(closure)}
    assert sum(sizes.values()) <= TRUSTED_CORE_LINES, sizes


@pytest.mark.parametrize(
    "module", ["loopwright", "loopwright.types", "loopwright.ledger.verify", "loopwright.gate", "loopwright.cli"]
)
def test_importing_stays_cheap(module: str) -> None:
    """The time has its bar in benchmarks/startup.py; here is the cause: what must not come along."""
    code = f"import sys, {module}; print(*sorted({{name.partition('.')[0] for name in sys.modules}} & {set(HEAVY)!r}))"
    seen = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (seen.stdout.split(), seen.stderr) == ([], "")


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""  # a font, a picture, a database


@pytest.mark.parametrize("pattern", [REGISTRY_HOSTS, MACHINE_PATHS], ids=["registry hosts", "machine paths"])
def test_no_address_of_a_machine_or_a_registry(tracked: list[Path], repository: Path, pattern: re.Pattern[str]) -> None:
    found = [
        f"{path.relative_to(repository)}:{number}: {line.strip()[:100]}"
        for path in tracked
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


def test_the_lock_pins_all_that_is_declared_and_no_address(repository: Path) -> None:
    def canonical(name: str) -> str:
        return re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", name, maxsplit=1)[0]).lower()

    lines = [line.partition("#")[0].strip() for line in (repository / "requirements.lock").read_text().splitlines()]
    pins = [line for line in lines if line]
    assert [pin for pin in pins if not re.fullmatch(r"[a-z0-9-]+==[A-Za-z0-9.]+", pin)] == []
    locked = {canonical(pin) for pin in pins}
    assert {name for name in locked if re.match(r"(nvidia|cuda|triton)(-|$)", name)} == set()
    project = tomllib.loads((repository / "pyproject.toml").read_text())
    declared = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["dev"],
        *project["build-system"]["requires"],
    ]
    assert {canonical(requirement) for requirement in declared} <= locked


def test_make_lists_its_verbs(repository: Path, require: Callable[..., None]) -> None:
    require("make")
    shown = subprocess.run(["make", "-C", str(repository), "help"], check=True, capture_output=True, text=True).stdout
    targets = set(re.findall(r"^([a-z-]+):(?!=)", (repository / "Makefile").read_text(), flags=re.MULTILINE))
    assert targets
    assert set(re.findall(r"make ([a-z-]+)", shown)) == targets


def test_a_verb_that_somebody_is_told_to_type_exists(tracked: list[Path], repository: Path) -> None:
    """Next steps of errors, docstrings and documents name commands of ours; the list of the day is the command line's own."""
    from typer.main import get_command

    from loopwright.cli import app

    verbs = set(vars(get_command(app))["commands"])
    shipped = [path for path in tracked if path.relative_to(repository).parts[0] not in {"tests", "benchmarks"}]
    told = {
        f"{path.relative_to(repository)}: loopwright {verb}"
        for path in shipped
        for verb in re.findall(r"`loopwright ([a-z][a-z-]*)", text_of(path))
        if verb not in verbs
    }
    assert told == set()
