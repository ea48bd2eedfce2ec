"""The JSON Schemas under ``reports/schema/``, made from the models: ``python -m loopwright.report.schemas DIRECTORY`` writes them.

A test holds that the published files are these, and that every document's files satisfy them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pydantic import BaseModel

from loopwright.report.declaration import Declaration, Labels, Theme
from loopwright.report.document import Document
from loopwright.report.law import Law

__all__ = ["PUBLISHED", "schema_text", "write"]

PUBLISHED: dict[str, type[BaseModel]] = {
    "fields": Declaration,
    "labels": Labels,
    "theme-labels": Theme,
    "law": Law,
    "document": Document,
}


def schema_text(name: str) -> str:
    """One schema (2020-12) as it is published."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **PUBLISHED[name].model_json_schema(by_alias=True)}
    return json.dumps(schema, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def write(folder: Path) -> None:
    """All of them into a folder."""
    for name in PUBLISHED:
        (folder / f"{name}.json").write_text(schema_text(name), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
