"""The pages in Streamlit's own harness, over workspaces in every state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from app.contents import PAGES
from app.place import WORKSPACE
from app.visitor import AS
from benchmarks.dashboard import make as make_long
from loopwright.index import Index
from tests.report.recorded import record_held, record_hostile, record_loop

MANY = 10_000


@pytest.fixture
def opened(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """``opened(root, "cycles", roles="viewer", cycle="c0001")``: the page as it is drawn; other names are query parameters."""
    monkeypatch.setattr("sys.argv", ["app.py"])
    config.set_option("server.address", "127.0.0.1")

    def run(root: Path, page: str = PAGES[0].name, *, roles: str | None = None, **query: str) -> AppTest:
        monkeypatch.setenv(WORKSPACE, str(root))
        if roles is not None:
            monkeypatch.setenv(AS, roles)
        test = AppTest.from_file(repository / "app/app.py", default_timeout=60)
        test.run()
        if page != PAGES[0].name:
            test.switch_page(f"screens/{page}.py")
        for name, value in query.items():
            test.query_params[name] = value
        return test.run() if query or page != PAGES[0].name else test

    return run


@pytest.fixture
def text() -> Callable[[AppTest], str]:
    """Everything that is read: headings, boxes, plain text, small print, figures, without what Markdown is escaped by."""

    def read(page: AppTest) -> str:
        boxes = [*page.info, *page.success, *page.error, *page.warning]
        parts = [*page.title, *page.header, *page.subheader, *boxes, *page.code, *page.text, *page.markdown]
        told = [*(part.value for part in parts), *(f"{one.label} {one.value}" for one in page.metric)]
        return "\n".join(told).replace("\\", "").replace("\u2060", "").replace("\u00a0", " ")

    return read


@pytest.fixture(scope="session")
def loops(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Workspaces by state, made once and only read: ``none fresh one rest running failed held hostile many``."""
    folder, made = tmp_path_factory.mktemp("loops"), {}

    def make(state: str) -> Path:
        if state not in made:
            made[state] = root = folder / state / "lab"
            root.mkdir(parents=True)
            if state == "many":
                make_long(root, make("rest"), MANY)
                with Index.open(root):  # as `loopwright app` does before anybody comes
                    pass
            elif state in {"held", "hostile"}:
                {"held": record_held, "hostile": record_hostile}[state](root)
            elif state != "none":
                cycles = {"fresh": 0, "one": 1}.get(state, 4)
                record_loop(root, cycles, running=state == "running", failed=state == "failed")
        return made[state]

    return make
