"""One module a version, named for its number."""
