"""What the MCP proxy says of itself as a protected resource (RFC 9728), and to those who are not let in (RFC 6750).

Answers without looking at who asks. The same for every name of a server, so that nobody learns here which there are.
"""

import re

from governance import jsontree
from governance.config.authorization import OAuth
from governance.identity.refusals import InsufficientScopeError, TokenError, UnknownKeyError
from governance.jsontree import Json
from pipeline.border import BadRequestError

WELL_KNOWN = "/.well-known/oauth-protected-resource"
_SERVER_PATH = re.compile(r"(/mcp(?:/(?!(?:sse|messages)$)[A-Za-z0-9][A-Za-z0-9._-]{0,63})?)(?:/(?:sse|messages))?")


class ChallengeError(BadRequestError):
    """Somebody is not let in, and is told what would be needed."""

    def __init__(self, status: int, code: str, message: str, challenge: str) -> None:
        super().__init__(status, code, message)
        self.challenge = challenge
        """Value of `WWW-Authenticate`."""


class ProtectedResource:
    """The resource that access tokens are for.

    Args:
        settings: whose tokens are believed, and for what; none, if it names no issuer.
    """

    def __init__(self, settings: OAuth | None = None) -> None:
        self._settings = settings or OAuth()

    def metadata(self, path: str) -> bytes | None:
        """The metadata document at `path` (RFC 9728 section 3.2), or `None` where there is none.

        Args:
            path: path of the request, beginning with `WELL_KNOWN`; what follows it names the resource.
        """
        settings, below = self._settings, path.removeprefix(WELL_KNOWN)
        named = _SERVER_PATH.fullmatch(below)
        if not settings.issuers or (below and named is None):
            return None
        scopes: list[Json] = list(settings.scopes)
        return jsontree.dump(
            {
                "resource": settings.resource + (named[1] if named else ""),
                "authorization_servers": [one.issuer for one in settings.issuers],
                "bearer_methods_supported": ["header"],
                "resource_name": "Wicket",
                **({"scopes_supported": scopes} if scopes else {}),
            }
        )

    def challenge(self, refusal: UnknownKeyError, path: str, *, has_key: bool) -> ChallengeError:
        """What somebody is told who is not let in.

        Args:
            refusal: why.
            path: path of the request.
            has_key: whether the request carried a credential at all; if not, no error is named (RFC 6750 section 3.1).
        """
        lacks_scope = isinstance(refusal, InsufficientScopeError)
        parts = ['realm="wicket"']
        if self._settings.issuers:
            named = _SERVER_PATH.fullmatch(path)
            where = f"{self._settings.resource}{WELL_KNOWN}{named[1] if named else ''}"
            parts.append(f'resource_metadata="{where}"')
            if self._settings.scopes:
                parts.append(f'scope="{" ".join(self._settings.scopes)}"')
            if lacks_scope:
                parts.append('error="insufficient_scope"')
            elif has_key:
                parts.append('error="invalid_token"')
            if isinstance(refusal, TokenError):
                parts.append(f'error_description="{str(refusal).replace(chr(34), chr(39))}"')
        status, code = (403, "insufficient_scope") if lacks_scope else (401, "unauthenticated")
        return ChallengeError(status, code, str(refusal), f"Bearer {', '.join(parts)}")
