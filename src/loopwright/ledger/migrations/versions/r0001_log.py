"""Leaves, checkpoints, the tree's compact range and the lease; entries and checkpoints can only be added.

SQLite databases of the first release have these tables and no mark of alembic: here they are found and left as they are.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_REFUSAL = "the log is append-only"


def upgrade() -> None:
    """Make the tables, each with its first row where it has only one."""
    if not sa.inspect(op.get_bind()).has_table("log_leaf"):
        _tables()
        op.execute("INSERT INTO log_tree (id, size, peaks) VALUES (1, 0, '')")
        op.execute("INSERT INTO lease (id, token, heartbeat) VALUES (1, 0, 0.0)")
        _triggers()


def _tables() -> None:
    op.create_table(
        "log_leaf",
        sa.Column("idx", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("leaf_hash", sa.LargeBinary, nullable=False),
        sa.Column("event", sa.Text, nullable=False, unique=True),
        sa.Column("envelope", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "log_checkpoint",
        sa.Column("size", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("note", sa.Text, nullable=False),
    )
    op.create_table(
        "log_tree",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("peaks", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "lease",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("token", sa.Integer, nullable=False),
        sa.Column("host", sa.Text),
        sa.Column("place", sa.Text),
        sa.Column("pid", sa.Integer),
        sa.Column("process_started", sa.Float),
        sa.Column("since", sa.Text),
        sa.Column("heartbeat", sa.Float, nullable=False),
    )


def _triggers() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for table in ("log_leaf", "log_checkpoint"):
            for verb in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_{verb.lower()} BEFORE {verb} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
                )
        return
    op.execute(
        f"CREATE FUNCTION log_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$"
    )
    for table in ("log_leaf", "log_checkpoint"):
        op.execute(
            f"CREATE TRIGGER {table}_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION log_refuse()"
        )
