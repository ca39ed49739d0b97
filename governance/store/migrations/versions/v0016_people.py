"""People who sign in by an identity provider, and more roles. Columns are explained in `governance/store/tables.py`.

The columns of roles and of kinds of logins are no longer held to a list by the database: the code knows the words.
"""

from alembic import op

revision = "0016"
down_revision = "0015"

STATEMENTS = """
CREATE TABLE people (
    id TEXT NOT NULL PRIMARY KEY, issuer TEXT NOT NULL, subject TEXT NOT NULL, "user" TEXT NOT NULL,
    role TEXT NOT NULL, tenant TEXT NOT NULL, team TEXT NOT NULL, terms TEXT NOT NULL,
    created_at TEXT NOT NULL, signed_in_at TEXT NOT NULL, revoked_at TEXT
);

CREATE TABLE answers (
    name TEXT NOT NULL PRIMARY KEY, request TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL, at TEXT NOT NULL
);
CREATE INDEX answers_by_time ON answers (at);

CREATE TABLE keys_now (
    id TEXT NOT NULL PRIMARY KEY, hash TEXT NOT NULL UNIQUE, name TEXT NOT NULL, role TEXT NOT NULL,
    tenant TEXT NOT NULL, team TEXT NOT NULL, agent TEXT NOT NULL, "user" TEXT NOT NULL,
    models TEXT NOT NULL, servers TEXT NOT NULL,
    created_at TEXT NOT NULL, expires_at TEXT, revoked_at TEXT, last_used_at TEXT
);
INSERT INTO keys_now SELECT id, hash, name, role, tenant, team, agent, "user", models, servers, created_at, expires_at,
    revoked_at, last_used_at FROM keys;
DROP TABLE keys;
ALTER TABLE keys_now RENAME TO keys;

CREATE TABLE logins_now (
    hash TEXT NOT NULL PRIMARY KEY, kind TEXT NOT NULL, subject TEXT NOT NULL,
    created_at TEXT NOT NULL, expires_at TEXT NOT NULL, used_at TEXT
);
INSERT INTO logins_now SELECT hash, kind, subject, created_at, expires_at, used_at FROM logins;
DROP TABLE logins;
ALTER TABLE logins_now RENAME TO logins
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in STATEMENTS.split(";\n"):
        op.execute(statement)
