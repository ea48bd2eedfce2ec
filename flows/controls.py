"""Control arms of an experiment, as forks of its first cycle: the same loop but for one thing that is taken away.

* ``human-only``: training goes on with human data alone. It shows what more steps alone would gain.
* ``unverified``: every well-formed answer is accepted. It shows what the verifier is worth; the record calls it unsafe.

    python -m flows.controls demo --directory arms --arm human-only
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loopwright.workspace import Workspace, find, fork

__all__ = ["ARMS", "make_arm"]

ARMS: Mapping[str, Mapping[str, Any]] = {
    "human-only": {"mix.human_floor": 1.0, "gate.card.unsafe_only_say": True},
    "unverified": {"verifier.accept": "unsafe_unverified", "gate.card.unsafe_only_say": True},
}
"""What each arm changes in the plan; an arm that is there to go wrong is not halted for it."""


def make_arm(origin: Workspace, arm: str, directory: Path, settings: Mapping[str, Any] | None = None) -> Workspace:
    """Fork the first cycle of ``origin`` into a control arm; ``settings`` are more keys of the plan, for example the profile."""
    return fork(origin, "c0000", directory, {"name": f"control-{arm}", **ARMS[arm], **(settings or {})})


def main() -> None:
    """Make one arm from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("origin", type=Path)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--arm", choices=sorted(ARMS), required=True)
    chosen = parser.parse_args()
    made = make_arm(find(chosen.origin), chosen.arm, chosen.directory)
    print(f"{made.root}: next, cd there and `loopwright run`")  # noqa: T201  # a script's result


if __name__ == "__main__":
    main()
