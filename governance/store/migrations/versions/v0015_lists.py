"""What lists of sessions and tickets are paged by. Small tables: this takes a second at 100,000 sessions."""

from alembic import op

revision = "0015"
down_revision = "0014"

STATEMENTS = """
CREATE INDEX sessions_by_first_seen ON sessions (first_seen, id);
CREATE INDEX tickets_by_time ON tickets (created_at, id)
"""


def upgrade() -> None:
    """Make the indices."""
    for statement in STATEMENTS.split(";\n"):
        op.execute(statement)
