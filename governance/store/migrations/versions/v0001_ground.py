"""The first tables. What each column holds is said in `governance/store/tables.py`."""

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS = """
CREATE TABLE audit_events (
    seq {integer} NOT NULL PRIMARY KEY, body TEXT NOT NULL, hash TEXT NOT NULL, mac TEXT NOT NULL,
    at TEXT NOT NULL, event_type TEXT NOT NULL, tenant_id TEXT NOT NULL, session_id TEXT NOT NULL,
    exchange_id TEXT NOT NULL, key_id TEXT NOT NULL, model TEXT NOT NULL, tool TEXT NOT NULL
);
CREATE INDEX audit_events_by_time ON audit_events (at, event_type);
CREATE INDEX audit_events_by_session ON audit_events (session_id, seq) WHERE session_id <> '';
CREATE INDEX audit_events_by_exchange ON audit_events (exchange_id) WHERE exchange_id <> '';

CREATE TABLE audit_head (id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1), seq BIGINT NOT NULL, hash TEXT NOT NULL);
INSERT INTO audit_head (id, seq, hash)
VALUES (1, -1, '0000000000000000000000000000000000000000000000000000000000000000');

CREATE TABLE kills (
    scope TEXT NOT NULL CHECK (scope IN ('session', 'key', 'agent', 'tenant', 'all')), target TEXT NOT NULL,
    reason TEXT NOT NULL, actor TEXT NOT NULL, at TEXT NOT NULL, revived_at TEXT, revived_by TEXT NOT NULL,
    epoch BIGINT NOT NULL, PRIMARY KEY (scope, target)
);
CREATE INDEX kills_by_epoch ON kills (epoch);

CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY, external_id TEXT NOT NULL, key_id TEXT NOT NULL, tenant TEXT NOT NULL,
    agent TEXT NOT NULL, evidence TEXT NOT NULL, rank INTEGER NOT NULL, source TEXT NOT NULL, plane TEXT NOT NULL,
    parent_id TEXT NOT NULL, first_seen TEXT NOT NULL, last_seen TEXT NOT NULL
);
CREATE INDEX sessions_by_external_id ON sessions (external_id);
CREATE INDEX sessions_by_last_seen ON sessions (last_seen);

CREATE TABLE keys (
    id TEXT NOT NULL PRIMARY KEY, hash TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('agent', 'admin', 'approver')),
    tenant TEXT NOT NULL, team TEXT NOT NULL, agent TEXT NOT NULL, "user" TEXT NOT NULL,
    models TEXT NOT NULL, servers TEXT NOT NULL,
    created_at TEXT NOT NULL, expires_at TEXT, revoked_at TEXT, last_used_at TEXT
);

CREATE TABLE tickets (
    id TEXT NOT NULL PRIMARY KEY, digest TEXT NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('pending', 'approved', 'denied', 'expired', 'consumed', 'invalidated')),
    action TEXT NOT NULL, server TEXT NOT NULL, tool TEXT NOT NULL, definition TEXT NOT NULL,
    key_id TEXT NOT NULL, tenant TEXT NOT NULL, agent TEXT NOT NULL, "user" TEXT NOT NULL,
    session_id TEXT NOT NULL, exchange_id TEXT NOT NULL,
    policy_version TEXT NOT NULL, rule TEXT NOT NULL, reason TEXT NOT NULL,
    findings TEXT NOT NULL, form TEXT NOT NULL,
    created_at TEXT NOT NULL, expires_at TEXT NOT NULL, decided_at TEXT, decided_by TEXT NOT NULL,
    decision_reason TEXT NOT NULL, told_at TEXT, consumed_at TEXT, consumed_by TEXT NOT NULL
);
CREATE UNIQUE INDEX tickets_one_open ON tickets (digest) WHERE state IN ('pending', 'approved');
CREATE INDEX tickets_by_digest ON tickets (digest);
CREATE INDEX tickets_by_state ON tickets (state);
CREATE INDEX tickets_by_session ON tickets (session_id);

CREATE TABLE definitions (
    server TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, definition TEXT NOT NULL,
    first_seen TEXT NOT NULL, last_seen TEXT NOT NULL, PRIMARY KEY (server, name, digest)
);

CREATE TABLE counters (
    scope TEXT NOT NULL, "window" TEXT NOT NULL, started_at TEXT NOT NULL,
    micro_usd BIGINT NOT NULL, tokens BIGINT NOT NULL, calls BIGINT NOT NULL,
    PRIMARY KEY (scope, "window", started_at)
);

CREATE TABLE deliveries (
    id TEXT NOT NULL PRIMARY KEY, event_id TEXT NOT NULL, url_digest TEXT NOT NULL, body TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed')), attempt INTEGER NOT NULL,
    next_at TEXT NOT NULL, created_at TEXT NOT NULL
);
CREATE INDEX deliveries_by_state ON deliveries (state, next_at);

CREATE TABLE endpoints (url_digest TEXT NOT NULL PRIMARY KEY, disabled_at TEXT NOT NULL);

CREATE TABLE logins (
    hash TEXT NOT NULL PRIMARY KEY, kind TEXT NOT NULL CHECK (kind IN ('link', 'session')), subject TEXT NOT NULL,
    created_at TEXT NOT NULL, expires_at TEXT NOT NULL, used_at TEXT
);

CREATE TABLE signals (topic TEXT NOT NULL PRIMARY KEY, version BIGINT NOT NULL)
"""


def upgrade() -> None:
    """Make the tables."""
    postgres = op.get_bind().dialect.name == "postgresql"
    # Only `INTEGER PRIMARY KEY` is SQLite's own row number, which saves a second tree.
    integer = "BIGINT" if postgres else "INTEGER"
    for statement in STATEMENTS.replace("{integer}", integer).split(";\n"):
        op.execute(statement)
