"""``python -m loopwright.report.facts`` prints `docs/report-facts.md`."""

from loopwright.report.facts.registry import page

print(page(), end="")
