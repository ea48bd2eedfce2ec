"""All loops of one PostgreSQL database, each in a schema of its own, in one dashboard."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from app.place import WORKSPACE, places
from loopwright.cli.databases import folders
from loopwright.errors import PlanError, UsageError
from loopwright.index import Index
from tests.ledger.cluster import Cluster
from tests.ledger.workshop import Workshop


def test_each_schema_with_a_record_is_a_loop_to_choose(
    server: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for place, schema in enumerate(("loops_one", "loops_two")):
        Workshop(tmp_path / f"made{place}", tmp_path / f"keys{place}", url=server.url(schema)).ledger.close()
    root = folders(server.url("public"))
    known = places(root)
    assert {"loops_one", "loops_two"} <= set(known)
    with Index.open(known["loops_two"]) as index:
        assert index.told["size"] == 1
    monkeypatch.setattr("sys.argv", ["app.py"])
    monkeypatch.setenv(WORKSPACE, str(root))
    config.set_option("server.address", "127.0.0.1")
    page = AppTest.from_file(repository / "app/app.py", default_timeout=60)
    page.query_params["loop"] = "loops_two"
    page.run()
    assert not page.exception
    assert page.sidebar.selectbox[0].value == "loops_two"
    assert {"loops_one", "loops_two"} <= set(page.sidebar.selectbox[0].options)
    with pytest.raises(PlanError, match="password"):
        folders("postgresql+pg8000://me:secret@127.0.0.1/x")


def test_a_database_without_a_record_is_said(server: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UsageError, match="no schema"):
        folders(server.url("public").replace("/postgres?", "/template1?"))
