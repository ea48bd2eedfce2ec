"""All loops of a PostgreSQL database as folders, so that the dashboard can show them: each names its schema and has nothing else.

What such a folder shows is what the record says; rows, models, the plan and what a workspace publishes stay where the loop runs.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from loopwright.errors import UsageError
from loopwright.ledger.location import read_url
from loopwright.ledger.postgres import schemas

__all__ = ["folders"]


def folders(url: str) -> Path:
    """A folder with one workspace a schema of the database that has a record.

    Args:
        url: As in ``record.url`` of a plan; its ``schema``, if any, is left out.

    Raises:
        PlanError: the URL is not of that form.
        Unreachable: the server does not answer.
        UsageError: no schema has a record.
    """
    bare, _, more = url.partition("?")
    rest = "&".join(part for part in more.split("&") if part and not part.startswith("schema="))
    found = schemas(read_url(url, Path.cwd()))
    if not found:
        raise UsageError("no schema of this database has a record", "is it the one that record.url of a plan names?")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "loopwright" / "loops"
    root = home / hashlib.sha256(f"{bare}?{rest}".encode()).hexdigest()[:16]
    for schema in found:
        place = root / schema
        (place / ".loopwright").mkdir(mode=0o700, parents=True, exist_ok=True)
        target = f"{bare}?{'&'.join(filter(None, (rest, f'schema={schema}')))}"
        (place / "loop.yaml").write_text(f"record: {{url: '{target}'}}\n", encoding="utf-8")
    for gone in root.iterdir():
        if gone.name not in found:
            (gone / "loop.yaml").unlink(missing_ok=True)
    return root
