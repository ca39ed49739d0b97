"""Policies that were in force, what they were asked, and how often each rule spoke.

What each column holds is said in `governance/store/tables.py`.
"""

from alembic import op

revision = "0013"
down_revision = "0011"

STATEMENTS = """
CREATE TABLE policy_versions (
    version TEXT NOT NULL PRIMARY KEY, files TEXT NOT NULL, rules INTEGER NOT NULL, loads BIGINT NOT NULL,
    first_at TEXT NOT NULL, first_by TEXT NOT NULL, last_at TEXT NOT NULL, last_by TEXT NOT NULL,
    reason TEXT NOT NULL, actor TEXT NOT NULL, rolled_back_at TEXT
);
CREATE INDEX policy_versions_by_last_at ON policy_versions (last_at);

CREATE TABLE judgements (
    exchange_id TEXT NOT NULL, phase TEXT NOT NULL, at TEXT NOT NULL, version TEXT NOT NULL, decision TEXT NOT NULL,
    rule TEXT NOT NULL, scene TEXT NOT NULL, PRIMARY KEY (exchange_id, phase)
);
CREATE INDEX judgements_by_at ON judgements (at);

CREATE TABLE rule_counts (
    hour TEXT NOT NULL, tenant TEXT NOT NULL, rule TEXT NOT NULL, part TEXT NOT NULL, decision TEXT NOT NULL,
    count BIGINT NOT NULL, examples TEXT NOT NULL, PRIMARY KEY (hour, tenant, rule, part, decision)
)
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in STATEMENTS.split(";\n"):
        op.execute(statement)
