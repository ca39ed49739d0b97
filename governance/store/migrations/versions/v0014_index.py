"""The index over the audit log. What each column holds is said in `governance/store/index_tables.py`.

It begins empty, so that this takes no time however long the log is: who serves the console reads the log into it, from
its first event on, and says how far that is.
"""

from alembic import op

revision = "0014"
down_revision = "0013"

STATEMENTS = """
CREATE TABLE index_place (id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1), seq BIGINT NOT NULL);
INSERT INTO index_place (id, seq) VALUES (1, -1);

CREATE TABLE facets (
    id {integer} NOT NULL PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, events BIGINT NOT NULL,
    sessions BIGINT NOT NULL, last_at TEXT NOT NULL
);
CREATE UNIQUE INDEX facets_by_name ON facets (kind, name);

CREATE TABLE event_facets (
    facet BIGINT NOT NULL, seq BIGINT NOT NULL, PRIMARY KEY (facet, seq)
){rowless};

CREATE TABLE session_facets (
    facet BIGINT NOT NULL, began TEXT NOT NULL, session_id TEXT NOT NULL, count BIGINT NOT NULL,
    PRIMARY KEY (facet, began, session_id)
){rowless};
CREATE INDEX session_facets_by_session ON session_facets (session_id);

CREATE TABLE session_totals (
    session_id TEXT NOT NULL PRIMARY KEY, began TEXT NOT NULL, last_at TEXT NOT NULL, events BIGINT NOT NULL,
    model_calls BIGINT NOT NULL, tool_calls BIGINT NOT NULL, calls BIGINT NOT NULL, input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL, micro_usd BIGINT NOT NULL, unpriced BIGINT NOT NULL, findings BIGINT NOT NULL,
    approvals BIGINT NOT NULL, allowed BIGINT NOT NULL, warned BIGINT NOT NULL, redacted BIGINT NOT NULL,
    held BIGINT NOT NULL, denied BIGINT NOT NULL, killed BIGINT NOT NULL
){rowless};

CREATE TABLE tallies (
    tenant TEXT NOT NULL, kind TEXT NOT NULL, span TEXT NOT NULL, at TEXT NOT NULL, name TEXT NOT NULL,
    count BIGINT NOT NULL, tokens BIGINT NOT NULL, micro_usd BIGINT NOT NULL, flawed BIGINT NOT NULL,
    PRIMARY KEY (tenant, kind, span, at, name)
){rowless}
"""


def upgrade() -> None:
    """Make the tables."""
    postgres = op.get_bind().dialect.name == "postgresql"
    # Only `INTEGER PRIMARY KEY` is SQLite's own row number, which saves a second tree; without row numbers there is
    # only the tree of the key.
    integer, rowless = ("BIGINT", "") if postgres else ("INTEGER", " WITHOUT ROWID")
    for statement in STATEMENTS.replace("{integer}", integer).replace("{rowless}", rowless).split(";\n"):
        op.execute(statement)
