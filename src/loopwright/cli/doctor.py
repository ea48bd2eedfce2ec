"""`loopwright doctor`: what this machine has of what the loop can use."""

from __future__ import annotations

import ctypes.util
import importlib.util
import shutil
from importlib.metadata import PackageNotFoundError, version
from typing import Any

__all__ = ["examine"]

PACKAGES = ("ray", "pytorch-lightning", "torch", "dvc", "pandera", "streamlit", "weasyprint")
PROGRAMS = {"git": "needed: every workspace is a repository", "bwrap": "optional: namespaces around the sandbox"}


def examine() -> list[dict[str, Any]]:
    """One entry a check: ``name``, ``ok``, ``detail``."""
    return [
        *(_package(name) for name in PACKAGES),
        *(_program(name, why) for name, why in PROGRAMS.items()),
        _pango(),
        _one_lightning(),
        _isolation(),
    ]


def _package(name: str) -> dict[str, Any]:
    try:
        return {"name": name, "ok": True, "detail": version(name)}
    except PackageNotFoundError:
        return {"name": name, "ok": False, "detail": f"pip install {name}"}


def _program(name: str, why: str) -> dict[str, Any]:
    path = shutil.which(name)
    return {"name": name, "ok": path is not None, "detail": path or why}


def _pango() -> dict[str, Any]:
    found = ctypes.util.find_library("pango-1.0")
    return {"name": "pango", "ok": found is not None, "detail": found or "needed for PDF reports: make system-deps"}


def _one_lightning() -> dict[str, Any]:
    both = importlib.util.find_spec("lightning") is not None and importlib.util.find_spec("pytorch_lightning") is not None
    detail = "uninstall `lightning`: Ray would mix it up with pytorch-lightning" if both else "only pytorch-lightning"
    return {"name": "one Lightning", "ok": not both, "detail": detail}


def _isolation() -> dict[str, Any]:
    """The level that candidates get here, measured, and what the levels above it lack."""
    from loopwright.errors import InfraError
    from loopwright.sandbox.pool import open_sandbox

    lacking: list[str] = []
    for level in ("SL3", "SL2", "SL1"):
        try:
            with open_sandbox(level, level=level):
                said = "; ".join([f"candidates get {level}", *lacking])
                return {"name": "sandbox", "ok": level != "SL1", "detail": said}
        except InfraError as error:
            lacking.append(f"not {level}: {error.message}")
    return {"name": "sandbox", "ok": False, "detail": "; ".join(lacking)}
