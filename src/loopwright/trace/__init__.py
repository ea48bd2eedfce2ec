"""Where things come from and what hangs on them: lineage, recall, reproduction, difference."""
