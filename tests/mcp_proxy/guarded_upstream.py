"""An MCP server that wants a token of an authorization server, as the specification has it. No SDK."""

import json
from dataclasses import dataclass, field
from typing import Any

from tests.authority import Authority
from tests.mcp_proxy.raw_upstream import RawUpstream


@dataclass
class GuardedUpstream:
    """A server behind a check of tokens; `url` is its address, set once it is served."""

    authority: Authority
    upstream: RawUpstream
    url: str = ""
    scope: str = "files:read"
    shown: list[str] = field(default_factory=list[str])
    """What was in `Authorization`, request by request."""
    revoked: set[str] = field(default_factory=set[str])
    wants: str = ""
    """A scope without which every request is refused with 403."""
    is_open: bool = False
    """Whether requests without a token are let in too."""
    has_metadata: bool = True
    issuer: str = ""
    """Authorization server that it names; default: its own."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/mcp" and not self.has_metadata:
            await _answer(send, 404, {})
            return
        if scope["path"].startswith("/.well-known/oauth-protected-resource"):
            await _answer(
                send,
                200,
                {
                    "resource": self.url,
                    "authorization_servers": [self.issuer or self.authority.url],
                    "scopes_supported": ["files:read", "files:write"],
                },
            )
            return
        shown = dict(scope["headers"]).get(b"authorization", b"").decode()
        self.shown.append(shown)
        token = shown.removeprefix("Bearer ")
        metadata = f'resource_metadata="{self.url.rpartition("/")[0]}/.well-known/oauth-protected-resource/mcp"'
        if not shown and self.is_open:
            await self.upstream(scope, receive, send)
        elif token not in self.authority.issued or token in self.revoked:
            await _answer(send, 401, {}, f'Bearer {metadata}, scope="{self.scope}"')
        elif self.wants:
            await _answer(send, 403, {}, f'Bearer error="insufficient_scope", scope="{self.wants}", {metadata}')
        else:
            await self.upstream(scope, receive, send)


async def _answer(send: Any, status: int, body: dict[str, Any], challenge: str = "") -> None:
    headers = [(b"content-type", b"application/json")]
    if challenge:
        headers.append((b"www-authenticate", challenge.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})
