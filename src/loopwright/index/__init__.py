"""The index: one row a cycle and one an entry, filled from the log as it grows, so that a page asks SQL and folds nothing long.

`.loopwright/index.db` beside the workspace's database: never evidence, never signed. It may be dropped at any time and comes out the same.
"""

from loopwright.index.query import SORTS, Filter, Index, Page
from loopwright.index.rows import COLUMNS

__all__ = ["COLUMNS", "SORTS", "Filter", "Index", "Page"]
