"""What people decided about tickets, one by one. What each column holds is said in `governance/store/tables.py`."""

from alembic import op

revision = "0009"
down_revision = "0008"

STATEMENTS = """
CREATE TABLE votes (
    ticket_id TEXT NOT NULL, person TEXT NOT NULL, decision TEXT NOT NULL CHECK (decision IN ('approve', 'deny')),
    digest TEXT NOT NULL, place INTEGER NOT NULL, name TEXT NOT NULL, "user" TEXT NOT NULL, role TEXT NOT NULL,
    team TEXT NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (ticket_id, person, decision, digest)
);

ALTER TABLE tickets ADD COLUMN remind_at TEXT;
ALTER TABLE tickets ADD COLUMN edited_form TEXT NOT NULL DEFAULT '';
ALTER TABLE tickets ADD COLUMN edited_digest TEXT NOT NULL DEFAULT '';
ALTER TABLE tickets ADD COLUMN votes INTEGER NOT NULL DEFAULT 0
"""


def upgrade() -> None:
    """Make the table and the column."""
    for statement in STATEMENTS.split(";\n"):
        op.execute(statement)
