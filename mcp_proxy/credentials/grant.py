"""What a server granted us: a token, until when, and what is needed to renew it. As a value, and as kept bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson

from governance import jsontree
from governance.jsontree import Json, JsonObject
from mcp_proxy.credentials.credential import CredentialError

LONGEST_MARGIN = 60.0
"""How long before its end a token is renewed, in seconds; shorter for tokens that live less than ten times as long."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One grant. It holds secrets, so it never shows in a `repr`."""

    server: str
    """Address of the server that it was granted for; good for no other."""
    token: JsonObject = field(repr=False)
    """The answer of the token endpoint (RFC 6749 section 5.1)."""
    client: JsonObject = field(repr=False)
    """The client that it was granted to (RFC 7591 section 3.2.1)."""
    metadata: Mapping[str, Json]
    """What the authorization server says of itself; empty if nothing."""
    resource: Mapping[str, Json]
    """What the server says of itself as a resource; empty if nothing."""
    ends_at: str = ""
    """When the token ends, RFC 3339; empty if nobody said."""
    renew_at: str = ""
    """When it should be renewed."""

    @property
    def access_token(self) -> str:
        """The token itself."""
        return jsontree.as_text(self.token.get("access_token"))

    @property
    def scope(self) -> str:
        """What it may be used for, as far as anybody said."""
        return jsontree.as_text(self.token.get("scope"))

    @property
    def issuer(self) -> str:
        """Who granted it."""
        return jsontree.as_text(self.metadata.get("issuer"))

    @property
    def can_be_renewed(self) -> bool:
        """Whether it has a refresh token."""
        return bool(self.token.get("refresh_token"))

    def is_due(self, now: datetime) -> bool:
        """Whether it should be renewed."""
        return bool(self.renew_at) and datetime.fromisoformat(self.renew_at) <= now

    def has_ended(self, now: datetime) -> bool:
        """Whether the token is of no use any more."""
        return bool(self.ends_at) and datetime.fromisoformat(self.ends_at) <= now

    def as_bytes(self) -> bytes:
        """As it is kept."""
        return orjson.dumps(
            {
                "server": self.server,
                "token": self.token,
                "client": self.client,
                "metadata": dict(self.metadata),
                "resource": dict(self.resource),
                "ends_at": self.ends_at,
                "renew_at": self.renew_at,
            }
        )


def read_grant(raw: bytes, server: str) -> Grant:
    """A grant as it was kept.

    Raises:
        CredentialError: it is for another address than `server`, which the configuration named before.
    """
    value = jsontree.as_object(orjson.loads(raw))
    if value.get("server") != server:
        raise CredentialError("the sign-in was for another address of this server: sign in again")
    parts = {name: jsontree.as_object(value.get(name)) for name in ("token", "client", "metadata", "resource")}
    ends, renew = (jsontree.as_text(value.get(name)) for name in ("ends_at", "renew_at"))
    return Grant(server, **parts, ends_at=ends, renew_at=renew)


def times(token: Mapping[str, Json], now: datetime) -> tuple[str, str]:
    """When a token that was granted at `now` ends, and when it should be renewed; empty where it does not say."""
    seconds = token.get("expires_in")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 10**9:
        return "", ""
    margin = min(LONGEST_MARGIN, seconds / 10)
    ends = now + timedelta(seconds=seconds)
    return ends.isoformat(), (ends - timedelta(seconds=margin)).isoformat()
