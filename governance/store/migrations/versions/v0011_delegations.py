"""Who decides for whom, and when others may. What each column holds is said beside `governance/store/tables.py`."""

from alembic import op

revision = "0011"
down_revision = "0010"

STATEMENTS = """
ALTER TABLE tickets ADD COLUMN escalate_at TEXT
"""


def upgrade() -> None:
    """Make the table and the columns."""
    for statement in STATEMENTS.split(";\n"):
        op.execute(statement)
