"""Alembic's way in: run the migrations on the connection, and within the transaction, that `loopwright.ledger.storage` holds."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
