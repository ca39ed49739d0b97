"""Where a client puts its gateway key, and how the key is kept from going any further.

Whether a key is valid is decided by `governance/identity`.
"""

from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

_HEADERS = ("x-api-key", "x-goog-api-key")
_BEARER = "bearer "


def token(headers: Mapping[str, str], query: bytes) -> str | None:
    """The key of a request, from the first place that holds one; `None` where there is none.

    Args:
        headers: names in lower case.
        query: the query string as received.
    """
    authorization = headers.get("authorization", "")
    if authorization[: len(_BEARER)].lower() == _BEARER:
        return authorization[len(_BEARER) :].strip()
    for name in _HEADERS:
        if value := headers.get(name):
            return value.strip()
    if authorization:
        return authorization
    return _from_query(query) if query else None


def stripped(query: bytes) -> str:
    """The query without `key`, as it may go on to the provider."""
    if not query:
        return ""
    return b"&".join(pair for pair in query.split(b"&") if not _is_key(pair)).decode("latin-1")


def _from_query(query: bytes) -> str | None:
    for pair in query.split(b"&"):
        if _is_key(pair):
            return unquote_to_bytes(pair.partition(b"=")[2]).decode("latin-1")
    return None


def _is_key(pair: bytes) -> bool:
    name = unquote_to_bytes(pair.partition(b"=")[0].replace(b"+", b" "))
    return name.strip().lower() == b"key"
