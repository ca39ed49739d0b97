"""The table of server health. What each column holds is said in `governance/store/tables.py`."""

from alembic import op

revision = "0004"
down_revision = "0003"

STATEMENT = """
CREATE TABLE server_health (
    server TEXT NOT NULL, process TEXT NOT NULL, transport TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('unknown', 'ready', 'failing', 'stopped')),
    since TEXT NOT NULL, starts BIGINT NOT NULL, restarts BIGINT NOT NULL, failures BIGINT NOT NULL,
    last_error TEXT NOT NULL, last_error_at TEXT NOT NULL, tools BIGINT NOT NULL, seen_at TEXT NOT NULL,
    PRIMARY KEY (server, process)
)
"""


def upgrade() -> None:
    """Make the table."""
    op.execute(STATEMENT)
