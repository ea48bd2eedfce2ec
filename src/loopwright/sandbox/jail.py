"""The command line that starts a zygote: plainly, or inside bubblewrap with namespaces of its own.

Within the jail there is the interpreter, the system's libraries and the zygote's own folder, all read-only; no other process, no
network, no home. A process identifier namespace also ends everything in it with its first process. Works without privileges where
the kernel lets users make namespaces; as root no user namespace is needed, and the zygote keeps just what it takes to become nobody.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["PLAIN_ENVIRONMENT", "find_bubblewrap", "interpreter", "jailed", "plain"]

PLAIN_ENVIRONMENT = {"PYTHONHASHSEED": "0"}
_OPTIONS = ("-s", "-S", "-P", "-B")
"""No user site, no site, no unsafe path, no bytecode. ``-I`` would ignore the fixed hash seed."""
_NAMESPACES = ("--unshare-ipc", "--unshare-net", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try")
_LIBRARIES = ("/lib", "/lib64", "/lib32", "/usr/lib", "/usr/lib64")
_KEPT_BY_ROOT = ("CAP_SETUID", "CAP_SETGID", "CAP_KILL")
"""To become nobody in each child, and to end it afterwards."""
_INIT = "1"
"""Within the jail the zygote's parent is bubblewrap's first process."""


def find_bubblewrap() -> str | None:
    """Path of ``bwrap``; None where it isn't installed."""
    return shutil.which("bwrap")


def interpreter() -> str:
    """The Python that runs zygotes: the real one behind a virtual environment, whose packages are not for candidates."""
    return os.path.realpath(sys.executable)


def plain(script: Path, control: int, terms: str) -> list[str]:
    """A zygote beside this process."""
    return [interpreter(), *_OPTIONS, str(script), str(control), str(os.getpid()), terms]


def jailed(script: Path, control: int, terms: str) -> list[str]:
    """A zygote in namespaces of its own."""
    python = Path(interpreter())
    shown = _covering([*_LIBRARIES, str(python), *_standard_library(), str(script.parent)])
    binds = [word for path in shown for word in ("--ro-bind", path, path)]
    links = [word for path in _LIBRARIES if os.path.islink(path) for word in ("--symlink", os.readlink(path), path)]
    rights = ["--cap-drop", "ALL"]
    if os.geteuid() == 0:
        rights += [word for capability in _KEPT_BY_ROOT for word in ("--cap-add", capability)]
    else:
        rights.append("--unshare-user")
    return [
        *(find_bubblewrap() or "bwrap", "--die-with-parent", "--new-session", *_NAMESPACES, *rights, *binds, *links),
        *("--proc", "/proc", "--remount-ro", "/", "--chdir", "/", "--clearenv", "--setenv", "PYTHONHASHSEED", "0", "--"),
        *(str(python), *_OPTIONS, str(script), str(control), _INIT, terms),
    ]


def _standard_library() -> Sequence[str]:
    """Where the interpreter's own modules and shared library lie; packages that were installed into it come along, unused."""
    base = Path(sys.base_prefix)
    return [str(path) for path in (base / "lib", base / f"lib/python{sys.version_info.major}.{sys.version_info.minor}")]


def _covering(paths: Sequence[str]) -> list[str]:
    """Those that exist, are no links, and lie in no other of them: what must be mounted to have them all."""
    there = sorted({path for path in paths if os.path.exists(path) and not os.path.islink(path)})
    return [path for path in there if not any(path.startswith(other + "/") for other in there)]
