"""What an approver allows beyond one call of a loop. What the column holds is said in `governance/store/tables.py`."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column; what was approved before allowed one call."""
    op.execute("ALTER TABLE tickets ADD COLUMN relief TEXT NOT NULL DEFAULT ''")
