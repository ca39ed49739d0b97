"""What a server says that it wants, when it refuses a request (RFC 6750 section 3)."""

import re

from mcp_proxy.credentials.credential import Refusal

_FIELD = re.compile(r'(?:^|[\s,])(error|scope)\s*=\s*(?:"([^"]{0,1000})"|([^\s,"]{1,1000}))', re.IGNORECASE)
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}(?: [\x21\x23-\x5b\x5d-\x7e]{1,100}){0,9}")
_MOST = 256
"""Characters of a scope that are told: they are the server's words, go to the agent, and no check reads them."""


def wanted_scope(refusal: Refusal) -> str:
    """The scope that a request would need (`insufficient_scope`), or empty text if that is not the reason."""
    found = {name.lower(): quoted or plain for name, quoted, plain in _FIELD.findall(refusal.challenge)}
    if found.get("error") != "insufficient_scope":
        return ""
    scope = found.get("scope", "")
    return scope if len(scope) <= _MOST and _SCOPE.fullmatch(scope) else "another one"
