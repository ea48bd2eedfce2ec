"""``python -m loopwright.report.facts`` prints `docs/report-facts.md`."""

import sys

from loopwright.report.facts.registry import page

sys.stdout.write(page())
