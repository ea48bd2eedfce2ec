"""The tree never shrinks either: its one row can be neither removed nor set back (a database restored under a running driver).

SQLite's ``user_version`` tells the first release, which knows no alembic, that this database is not for it.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

_REFUSAL = "the tree of the log never shrinks"


def upgrade() -> None:
    """Add the triggers."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE TRIGGER log_tree_update BEFORE UPDATE ON log_tree WHEN NEW.size < OLD.size "
            f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
        )
        op.execute(f"CREATE TRIGGER log_tree_delete BEFORE DELETE ON log_tree BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END")
        op.execute("PRAGMA user_version=2")
        return
    op.execute(
        f"CREATE FUNCTION log_tree_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$"
    )
    op.execute(
        "CREATE TRIGGER log_tree_update BEFORE UPDATE ON log_tree FOR EACH ROW "
        "WHEN (NEW.size < OLD.size) EXECUTE FUNCTION log_tree_refuse()"
    )
    op.execute(
        "CREATE TRIGGER log_tree_delete BEFORE DELETE OR TRUNCATE ON log_tree "
        "FOR EACH STATEMENT EXECUTE FUNCTION log_tree_refuse()"
    )
