"""`reports/law.yaml`: acts, dates of application, retention and clocks, as data that a lawyer can edit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from loopwright.errors import UsageError
from loopwright.report.sources import places

__all__ = ["read_law"]


def read_law(root: Path) -> Mapping[str, Any]:
    """The parsed file of the workspace, else the program's own; UsageError where it cannot be read."""
    path = next((base / "law.yaml" for base in places(root) if (base / "law.yaml").is_file()), None)
    if path is None:
        raise UsageError("reports/law.yaml is missing", "put it back, or remove reports/ of the workspace")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not YAML: {error}", "compare it with the one that the program brings") from error
