"""What upstream servers granted us. What each column holds is said in `governance/store/tables.py`."""

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENT = """
CREATE TABLE grants (
    server TEXT NOT NULL PRIMARY KEY, sealed TEXT NOT NULL, updated_at TEXT NOT NULL, claimed_until TEXT NOT NULL
)
"""


def upgrade() -> None:
    """Make the table."""
    op.execute(STATEMENT)
