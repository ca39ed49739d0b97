"""What people allowed beyond one call. What each column holds is said in `governance/store/approval_tables.py`."""

from alembic import op

revision = "0010"
down_revision = "0009"

STATEMENTS = """
CREATE TABLE approval_grants (
    id TEXT NOT NULL PRIMARY KEY, ticket_id TEXT NOT NULL, given_at TEXT NOT NULL, given_by TEXT NOT NULL,
    reason TEXT NOT NULL, rules TEXT NOT NULL, server TEXT NOT NULL, tool TEXT NOT NULL, definition TEXT NOT NULL,
    key_id TEXT NOT NULL, tenant TEXT NOT NULL, team TEXT NOT NULL, agent TEXT NOT NULL, "user" TEXT NOT NULL,
    session_id TEXT NOT NULL, session_only BOOLEAN NOT NULL, arguments TEXT NOT NULL, expires_at TEXT NOT NULL,
    uses INTEGER NOT NULL, used INTEGER NOT NULL CHECK (used <= uses), last_used_at TEXT, ended_at TEXT,
    ended_by TEXT NOT NULL, end_reason TEXT NOT NULL
);
CREATE INDEX approval_grants_by_call ON approval_grants (key_id, server, tool);
CREATE INDEX approval_grants_by_end ON approval_grants (expires_at)
"""


def upgrade() -> None:
    """Make the table."""
    for statement in STATEMENTS.split(";\n"):
        op.execute(statement)
