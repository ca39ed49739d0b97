"""Cursors of the aggregate: which server goes on where, sealed, so that a client can only hand back what it was given.

A cursor works for the method and the owner that it was made for. It is read by nobody but the process that made it,
or those that share its key.
"""

from collections.abc import Mapping

from governance import jsontree
from governance.jsontree import Json, JsonObject
from governance.seal import Seal, SealError

CURSOR_KEY = "mcp.cursor.1"
"""Purpose of the key that seals cursors (`governance.audit.keys.derive`)."""


class Cursors:
    """Seals and opens cursors.

    Args:
        key: 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._seal = Seal(key)

    def seal(self, method: str, owner: tuple[str, str, str], places: Mapping[str, str]) -> str:
        """The cursor that goes on at each server's own cursor."""
        sealed: JsonObject = {"method": method, "owner": jsontree.digest(list(owner)), "places": dict(places)}
        return self._seal.close(jsontree.dump(sealed))

    def open(self, cursor: Json, method: str, owner: tuple[str, str, str]) -> Mapping[str, str] | None:
        """Each server's own cursor; None if it is not ours, or not for this method and owner."""
        try:
            claims = jsontree.as_object(jsontree.parse(self._seal.open(jsontree.as_text(cursor))))
        except (SealError, jsontree.MalformedError):
            return None
        if claims.get("method") != method or claims.get("owner") != jsontree.digest(list(owner)):
            return None
        places = jsontree.as_object(claims.get("places"))
        return {server: place for server, place in places.items() if isinstance(place, str)}
