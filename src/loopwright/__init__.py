"""Loopwright: recursive-improvement loops whose every step is recorded, checked and accountable.

Importing the package is cheap on purpose: it never loads torch, ray, dvc or streamlit.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
