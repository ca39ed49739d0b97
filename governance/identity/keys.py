"""What a gateway key is: random, shown once, and known afterwards only by its digest.

Values and pure functions. Who may come in with a key is decided in `directory.py`; where keys are kept, in `store.py`.
"""

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

PREFIX = "wk_"
EVERY_TENANT = "*"
"""Tenant of a person, never of an agent, who sees the affairs of all tenants."""
KEY_BYTES = 32
LONGEST_TOKEN = 512
"""A longer text is no token of ours; it is refused without hashing it."""


class KeyRole(StrEnum):
    """What a key is for. A key has one role, and none includes another: an agent can never approve its own calls."""

    AGENT = "agent"
    """Makes model and tool calls."""
    VIEWER = "viewer"
    """Sees runs, servers and figures on the console, and nothing of what calls hold."""
    APPROVER = "approver"
    """Sees the same, and decides about held calls."""
    AUDITOR = "auditor"
    """Sees runs, and reads and exports the audit log."""
    ADMIN = "admin"
    """Decides about held calls and pins, kills and revives runs, and manages keys."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Whom a key stands for, and what it may use."""

    role: KeyRole = KeyRole.AGENT
    tenant: str = "default"
    team: str = ""
    agent: str = ""
    user: str = ""
    models: tuple[str, ...] = ("*",)
    """Globs of models."""
    servers: tuple[str, ...] = ("*",)
    """Globs of MCP servers."""
    expires_at: datetime | None = None
    """Aware and in UTC; `None` = never."""
    name: str = ""
    """What people call the key."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is kept: everything but the key."""

    id: str
    digest: str
    """SHA-256 of the token in lower-case hex. No salt and no stretching: a token has 256 random bits."""
    grant: Grant
    created_at: datetime
    revoked_at: datetime | None = None

    def refusal(self, now: datetime) -> str:
        """Why the key is not valid at `now`; empty if it is."""
        if self.revoked_at is not None:
            return "this key was revoked"
        if self.grant.expires_at is not None and self.grant.expires_at <= now:
            return "this key has expired"
        return ""


@dataclass(frozen=True, slots=True)
class Minted:
    """A new key and its token. This is the only moment at which the token exists."""

    key: Key
    token: str = field(repr=False)


class KeyStore(Protocol):
    """The table of keys."""

    async def all(self) -> list[Key]:
        """Every key, revoked ones too, oldest first."""
        ...

    async def add(self, key: Key, *, actor: str) -> None:
        """Keep a new key, with its audit event in the same transaction."""
        ...

    async def revoke(self, key_id: str, *, actor: str, reason: str = "") -> bool:
        """Revoke a key, with its audit event; false if there is none or it was revoked already."""
        ...

    async def replace(self, key_id: str, successor: Key, *, actor: str) -> bool:
        """Revoke a key and keep its successor, both or neither; false if there is none or it was revoked already."""
        ...


def mint(grant: Grant, now: datetime) -> Minted:
    """A new key for `grant`, made at `now`."""
    token = PREFIX + secrets.token_urlsafe(KEY_BYTES)
    return Minted(Key(f"key_{secrets.token_hex(6)}", digest(token), grant, now), token)


def digest(token: str) -> str:
    """What is kept of a token, and what it is found by: equal time for every token of one length, known or not."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
