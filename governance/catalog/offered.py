"""How many tools each server offers now: those of its last listing that came to an end.

The catalog itself forgets nothing, because a tool that is listed no longer may be called all the same; this is only for
people. Nothing is decided by it.
"""

from governance.jsontree import Json

MOST_OPEN = 64
"""Listings of one server that were begun and may go on; the oldest is forgotten."""
LONGEST_CURSOR = 4096


class Offered:
    """Counts listings, page by page. Several clients may be in the middle of one."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._open: dict[str, dict[str, int]] = {}
        """For each server how many tools came before each cursor that was given out."""

    def page(self, server: str, tools: int, cursor: Json, following: Json) -> None:
        """A page of a listing came.

        Args:
            server: whose it is.
            tools: how many tools stand in it.
            cursor: the one that it was asked for with; None for the first page.
            following: the one that leads on; None for the last page.
        """
        begun = self._open.setdefault(server, {})
        if cursor is not None:
            before = begun.get(cursor) if isinstance(cursor, str) else None
            if before is None:
                return  # nobody knows what came before
            tools += before
        if following is None:
            self._counts[server] = tools
        elif isinstance(following, str) and len(following) <= LONGEST_CURSOR:
            begun.pop(following, None)
            begun[following] = tools
            if len(begun) > MOST_OPEN:
                del begun[next(iter(begun))]

    def count(self, server: str) -> int:
        """How many tools a server offers; 0 as long as none of its listings came to an end."""
        return self._counts.get(server, 0)
