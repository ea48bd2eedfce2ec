"""What somebody outside does: types commands, keeps a witness' folder, and has none of the workspace's keys."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from loopwright.cli import main
from loopwright.ledger.keys import load_key, public_bytes
from loopwright.ledger.principals import principal_id
from loopwright.ledger.statement import read_statement
from tests.ledger.workshop import Workshop

PHASES = ("seed", "train", "evaluate", "decide")
LATER = ("generate", "verify", "merge", "train", "evaluate", "decide")


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> dict[str, Any]:
        return json.loads(self.out.splitlines()[0])

    @property
    def codes(self) -> set[str]:
        return {finding["code"] for finding in self.told["findings"]}


def loopwright(*words: str | Path) -> Done:
    """The real command line, in this process."""
    out, err, code, before = io.StringIO(), io.StringIO(), 0, sys.argv
    sys.argv = ["loopwright", *map(str, words)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.argv = before
    return Done(code=code, out=out.getvalue(), err=err.getvalue())


def told(root: Path, keys: Path) -> Workshop:
    """A workspace of two cycles."""
    workshop = Workshop(root, keys)
    workshop.cycle("c0000", PHASES)
    workshop.cycle("c0001", LATER, fence=2, parent="c0000", prev="c0000")
    (root / "loop.yaml").write_text("name: bench\n")
    return workshop


def stolen(keys: Path, role: str, genesis: bytes) -> Ed25519PrivateKey:
    """The private key of the first principal of this role, wherever the workspace keeps it."""
    wanted = [one["id"] for one in read_statement(genesis, 0).predicate["principals"] if one["role"] == role]
    found = {principal_id(public_bytes(key)): key for path in sorted(keys.glob("*.key")) for key in [load_key(path)]}
    return next(found[one] for one in wanted if one in found)


def witness(folder: Path, name: str = "w1.example.org") -> str:
    """A new witness; its public key."""
    made = loopwright("witness", "init", folder, "--name", name)
    assert made.code == 0, made.err
    return made.out.strip()
