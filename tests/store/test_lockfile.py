"""dvc.lock by blocks of text: the same file as DVC would write, without its parser."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from loopwright.errors import IntegrityError
from loopwright.store import lockfile
from loopwright.store.lockfile import LockedOutput

ENTRY = """\
train@c0001:
  cmd: loopwright phase train --cycle c0001
  deps:
  - path: cycles/c0001/archive
    hash: md5
    md5: 0b0e7c6a3d1f4a5e9c8b7a6f5e4d3c2b.dir
    size: 5
    nfiles: 1
  outs:
  - path: cycles/c0001/model
    hash: md5
    md5: '12345678901234567890123456789012'
    size: 7
"""


def other(name: str) -> str:
    return ENTRY.replace("train@c0001", name).replace("c0001/model", "c0001/other")


def test_blocks_are_put_replaced_and_taken_out(tmp_path: Path) -> None:
    lockfile.put(tmp_path, "train@c0001", ENTRY)
    lockfile.put(tmp_path, "seed@c0000", other("seed@c0000"))
    first = (tmp_path / "dvc.lock").read_bytes()
    assert YAML(typ="safe").load(first) == {
        "schema": "2.0",
        "stages": YAML(typ="safe").load(ENTRY + other("seed@c0000")),
    }
    lockfile.put(tmp_path, "train@c0001", ENTRY.replace("size: 5", "size: 6"))
    assert (tmp_path / "dvc.lock").read_bytes() == first.replace(b"size: 5", b"size: 6", 1)
    assert lockfile.names(tmp_path) == ["train@c0001", "seed@c0000"]
    assert lockfile.outputs(tmp_path, ["train@c0001"]) == [
        LockedOutput(path="cycles/c0001/model", md5="12345678901234567890123456789012")
    ]
    assert [output.path for output in lockfile.outputs(tmp_path)] == ["cycles/c0001/model", "cycles/c0001/other"]
    lockfile.keep(tmp_path, {"seed@c0000"})
    assert lockfile.names(tmp_path) == ["seed@c0000"]
    lockfile.keep(tmp_path, set())
    assert YAML(typ="safe").load(tmp_path / "dvc.lock") == {"schema": "2.0", "stages": {}}
    lockfile.put(tmp_path, "train@c0001", ENTRY)
    assert lockfile.names(tmp_path) == ["train@c0001"]


def test_nothing_is_written_where_nothing_changes(tmp_path: Path) -> None:
    lockfile.put(tmp_path, "train@c0001", ENTRY)
    stat = (tmp_path / "dvc.lock").stat()
    lockfile.put(tmp_path, "train@c0001", ENTRY)
    lockfile.keep(tmp_path, {"train@c0001", "more"})
    assert (tmp_path / "dvc.lock").stat() == stat


def test_without_a_lock_there_is_nothing(tmp_path: Path) -> None:
    assert lockfile.names(tmp_path) == []
    assert lockfile.outputs(tmp_path) == []


@pytest.mark.parametrize(
    "text",
    [
        f"schema: '1.0'\nstages:\n  {ENTRY.replace(chr(10), chr(10) + '  ')}",
        f"schema: '2.0'\nstages:\n  {ENTRY.replace(chr(10), chr(10) + '  ')}\ndatasets: []\n",
        "<<<<<<< ours\nschema: '2.0'\nstages:\n  a:\n    cmd: b\n",
    ],
    ids=["older schema", "something after it", "merge conflict"],
)
def test_a_file_that_dvc_did_not_write_is_not_rewritten(tmp_path: Path, text: str) -> None:
    (tmp_path / "dvc.lock").write_text(text, encoding="utf-8")
    with pytest.raises(IntegrityError, match=r"dvc\.lock"):
        lockfile.put(tmp_path, "train@c0002", ENTRY)
    assert (tmp_path / "dvc.lock").read_text(encoding="utf-8") == text
