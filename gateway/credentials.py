"""Where a client puts its gateway key, and how the key is kept from going any further.

Whether a key is valid is decided by `governance/identity`.
"""

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from governance.identity.keys import PREFIX
from pipeline.border import BadRequestError

_HEADERS = ("x-api-key", "x-goog-api-key")
_BEARER = "bearer "
_PLAIN = re.compile(r"[A-Za-z]{0,16}|\d")
"""A word, and too short a one to be a key: no detector looks at a query."""


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


def passed(query: bytes, known: frozenset[str]) -> str:
    """The query as it may go on to the provider: without `key`, and with nothing that nobody judged.

    Args:
        query: the query string as received.
        known: the parameters that the wire defines.

    Raises:
        BadRequestError: it holds a parameter that is not of the wire, or a value that is more than a plain word.
    """
    pairs = [pair for pair in query.split(b"&") if pair and not _is_key(pair)] if query else []
    for pair in pairs:
        name, _, value = pair.decode("latin-1").partition("=")
        if name not in known or not _PLAIN.fullmatch(value):
            told = ", ".join(f"`{one}`" for one in sorted(known)) or "none"
            raise BadRequestError(
                400, "query", f"the query may only hold what this wire defines ({told}): leave it out"
            )
    return b"&".join(pairs).decode("latin-1")


def _from_query(query: bytes) -> str | None:
    """A gateway key, as some SDKs send it. An access token never belongs into an address (RFC 9700 section 4.3.2)."""
    for pair in query.split(b"&"):
        if _is_key(pair):
            found = unquote_to_bytes(pair.partition(b"=")[2]).decode("latin-1")
            return found if found.startswith(PREFIX) else ""
    return None


def _is_key(pair: bytes) -> bool:
    name = unquote_to_bytes(pair.partition(b"=")[0].replace(b"+", b" "))
    return name.strip().lower() == b"key"
