"""The order of work: one cycle, and cycles one after the other. A workspace has its own copy."""
