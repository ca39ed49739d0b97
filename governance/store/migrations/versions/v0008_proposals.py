"""What models asked for, and how runs are told. What each column holds is said in `governance/store/tables.py`."""

from alembic import op

revision = "0008"
down_revision = "0007"

STATEMENTS = """
CREATE TABLE proposals (
    seq {integer} NOT NULL PRIMARY KEY, at TEXT NOT NULL, key_id TEXT NOT NULL, session_id TEXT NOT NULL,
    exchange_id TEXT NOT NULL, call_id TEXT NOT NULL, name TEXT NOT NULL, arguments TEXT NOT NULL,
    subagent TEXT NOT NULL
);
CREATE INDEX proposals_by_time ON proposals (at);
ALTER TABLE sessions ADD COLUMN joined_id TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN verified BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX sessions_by_joined_id ON sessions (joined_id) WHERE joined_id <> '';
CREATE INDEX sessions_by_parent_id ON sessions (parent_id) WHERE parent_id <> ''
"""


def upgrade() -> None:
    """Make the table and the columns."""
    postgres = op.get_bind().dialect.name == "postgresql"
    # Only `INTEGER PRIMARY KEY` is SQLite's own row number, which saves a second tree.
    integer = "BIGINT" if postgres else "INTEGER"
    for statement in STATEMENTS.replace("{integer}", integer).split(";\n"):
        op.execute(statement)
