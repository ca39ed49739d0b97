"""Who decides for whom, and when others may. What each column holds is said beside `governance/store/tables.py`."""

from alembic import op

revision = "0011"
down_revision = "0010"

STATEMENTS = """
CREATE TABLE delegations (
    id TEXT NOT NULL PRIMARY KEY, key_id TEXT NOT NULL, name TEXT NOT NULL, person TEXT NOT NULL, "user" TEXT NOT NULL,
    role TEXT NOT NULL, team TEXT NOT NULL, tenant TEXT NOT NULL, to_user TEXT NOT NULL, reason TEXT NOT NULL,
    given_at TEXT NOT NULL, until TEXT NOT NULL, ended_at TEXT, ended_by TEXT NOT NULL
);
CREATE INDEX delegations_by_to_user ON delegations (to_user);
ALTER TABLE votes ADD COLUMN for_person TEXT NOT NULL DEFAULT '';
ALTER TABLE votes ADD COLUMN for_name TEXT NOT NULL DEFAULT '';
ALTER TABLE votes ADD COLUMN for_user TEXT NOT NULL DEFAULT '';
ALTER TABLE votes ADD COLUMN for_role TEXT NOT NULL DEFAULT '';
ALTER TABLE votes ADD COLUMN for_team TEXT NOT NULL DEFAULT '';
ALTER TABLE tickets ADD COLUMN escalate_at TEXT
"""


def upgrade() -> None:
    """Make the table and the columns."""
    for statement in STATEMENTS.split(";\n"):
        op.execute(statement)
