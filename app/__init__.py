"""The dashboard: a reader of the record. It acts on nothing and fetches nothing."""
