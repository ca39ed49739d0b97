"""What sessions are labelled with. What each column holds is said in `governance/store/tables.py`."""

from alembic import op

revision = "0006"
down_revision = "0005"

STATEMENTS = """
CREATE TABLE session_labels (
    session_id TEXT NOT NULL, label TEXT NOT NULL, source TEXT NOT NULL, exchange_id TEXT NOT NULL, at TEXT NOT NULL,
    epoch BIGINT NOT NULL, PRIMARY KEY (session_id, label)
);
CREATE UNIQUE INDEX session_labels_by_epoch ON session_labels (epoch)
"""


def upgrade() -> None:
    """Make the table."""
    for statement in STATEMENTS.split(";\n"):
        op.execute(statement)
