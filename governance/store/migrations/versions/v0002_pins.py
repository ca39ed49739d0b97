"""The table of pins. What each column holds is said in `governance/store/tables.py`."""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = """
CREATE TABLE pins (
    server TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('tool', 'prompt', 'template', 'instructions', 'set')),
    name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('trusted', 'pending', 'rejected')),
    digest TEXT NOT NULL, definition TEXT NOT NULL, live TEXT NOT NULL, live_definition TEXT NOT NULL,
    rule TEXT NOT NULL, reason TEXT NOT NULL, live_at TEXT NOT NULL, trusted_at TEXT NOT NULL,
    trusted_by TEXT NOT NULL, decided_by TEXT NOT NULL, decision_reason TEXT NOT NULL, changed_at TEXT NOT NULL,
    PRIMARY KEY (server, kind, name)
)
"""


def upgrade() -> None:
    """Make the table."""
    op.execute(STATEMENTS)
