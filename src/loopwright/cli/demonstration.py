"""What `loopwright demo` says where only a person could: the profile, so that the demonstration's documents can be read to the end.

The words are data (`reports/profile/demonstration.yaml`), each says of itself that it is a demonstration's, and a demonstration's key
signs them, which every document prints. Nothing but `demo` calls this, and a workspace of persons refuses it: it has no such key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loopwright.workspace import Workspace

__all__ = ["answer_profile"]


def answer_profile(workspace: Workspace) -> None:
    """Answer every item of the profile at once: one transaction, one checkpoint, one commit. The first cycle's commit has the log."""
    import yaml

    from loopwright.govern.answers import Given, answer_all
    from loopwright.govern.requests import Desk
    from loopwright.report.sources import find_sources

    told = yaml.safe_load(find_sources(workspace.root, "profile").read("profile/demonstration.yaml"))
    given = [
        Given(
            field=field,
            document="profile",
            state="statement" if "text" in said else "not-applicable",
            text=said.get("text") or said["not_applicable"],
        )
        for field, said in told.items()
    ]
    with Desk(workspace, lambda _: b"") as desk:
        answer_all(desk, given)
