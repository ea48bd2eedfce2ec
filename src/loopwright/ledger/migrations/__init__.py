"""The database's shape, version by version (alembic): run when a database of an older version is opened to be written.

A version once released never changes. Each says what it does in both dialects; what is in ``ledger/`` is untouched by all.
"""
