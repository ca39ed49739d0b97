"""`requestState` of calls that are suspended here: sealed, bound to one request of one principal, short-lived.

Clients carry it and may do to it what they like (2026-07-28, "Multi Round-Trip Requests"). That a state works once is
not held here: it names a call, and the call is taken by the first who comes.
"""

from datetime import timedelta

from governance import jsontree
from governance.clock import Clock
from governance.jsontree import Json, JsonObject
from governance.seal import Seal, SealError
from mcp_proxy.message import Message

STATE_KEY = "mcp.request-state.1"
"""Purpose of the key that seals states (`governance.audit.keys.derive`)."""
_ROUND = ("inputResponses", "requestState", "_meta")


class States:
    """Seals and opens the states of one server.

    Args:
        key: 32 bytes.
        server: the server's name; a state works for no other.
        clock: tells when a state has expired.
        lifetime: seconds that a state works.
    """

    def __init__(self, key: bytes, server: str, clock: Clock, lifetime: float) -> None:
        self._seal = Seal(key)
        self._server = server
        self._clock = clock
        self._lifetime = timedelta(seconds=lifetime)

    def seal(self, handle: str, owner: tuple[str, ...], asked: Message) -> str:
        """The state that lets `owner` go on with the call `handle` by making the request `asked` again."""
        until = (self._clock.now() + self._lifetime).timestamp()
        return self._seal.close(jsontree.dump({**self._bound(owner, asked), "handle": handle, "until": until}))

    def open(self, state: Json, owner: tuple[str, ...], asked: Message) -> str | None:
        """The handle in a state; None if it is not ours, not for this request of this owner, or has expired."""
        try:
            claims = jsontree.parse(self._seal.open(jsontree.as_text(state)))
        except (SealError, jsontree.MalformedError):
            return None
        if not isinstance(claims, dict):
            return None
        until, handle = claims.pop("until", 0), claims.pop("handle", None)
        if not isinstance(until, float | int) or self._clock.now().timestamp() >= until:
            return None
        return handle if isinstance(handle, str) and claims == self._bound(owner, asked) else None

    def _bound(self, owner: tuple[str, ...], asked: Message) -> JsonObject:
        """What a state holds for. Everything that is asked counts but the answers themselves."""
        params = {name: value for name, value in asked.params.items() if name not in _ROUND}
        return {
            "v": 1,
            "server": self._server,
            "owner": jsontree.digest(list(owner)),
            "method": asked.method,
            "target": jsontree.as_text(params.get("name")) or jsontree.as_text(params.get("uri")),
            "asked": jsontree.digest(params),
        }
