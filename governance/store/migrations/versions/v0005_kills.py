"""More that can be stopped, and who has seen to it. What each column holds is said in `governance/store/tables.py`."""

from alembic import op

revision = "0005"
down_revision = "0004"

STATEMENTS = """
CREATE TABLE kills_now (
    scope TEXT NOT NULL CHECK (scope IN ('session', 'key', 'agent', 'user', 'team', 'tenant', 'server', 'all')),
    target TEXT NOT NULL, reason TEXT NOT NULL, actor TEXT NOT NULL, at TEXT NOT NULL, revived_at TEXT,
    revived_by TEXT NOT NULL, epoch BIGINT NOT NULL, probation INTEGER NOT NULL, PRIMARY KEY (scope, target)
);
INSERT INTO kills_now SELECT scope, target, reason, actor, at, revived_at, revived_by, epoch, 0 FROM kills;
DROP TABLE kills;
ALTER TABLE kills_now RENAME TO kills;
CREATE INDEX kills_by_epoch ON kills (epoch);

CREATE TABLE confirmations (
    scope TEXT NOT NULL, target TEXT NOT NULL, epoch BIGINT NOT NULL, process TEXT NOT NULL, name TEXT NOT NULL,
    at TEXT NOT NULL, cut BIGINT NOT NULL, PRIMARY KEY (scope, target, process)
);

CREATE TABLE processes (
    id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, started_at TEXT NOT NULL, seen_at TEXT NOT NULL
);

ALTER TABLE tickets ADD COLUMN team TEXT NOT NULL DEFAULT ''
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in STATEMENTS.split(";\n"):
        op.execute(statement)
