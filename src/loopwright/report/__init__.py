"""Documents that prove themselves: built from the signed record alone, the same inputs giving the same bytes.

``build(root, "cycle", "c0003")`` is all that the rest of the program calls. Importing this package loads no typesetter.
"""

from __future__ import annotations

from loopwright.report.engine import BuiltReport, build
from loopwright.report.sources import documents

__all__ = ["BuiltReport", "build", "documents"]
