"""The sessions of legacy clients on the Streamable HTTP front.

A session id is a handle and no proof of anything: it works only together with the key that opened the session, and for
the person who did; anybody else is told that there is no such session. It carries no message itself.
"""

import logging
import secrets
from collections import Counter
from dataclasses import dataclass, field

import anyio

from governance.clock import Clock
from governance.exchange import Principal
from governance.jsontree import Json
from mcp_proxy.calls import Calls
from mcp_proxy.link import Link
from mcp_proxy.missed import Kept
from pipeline.border import BadRequestError

log = logging.getLogger(__name__)

IDLE_SECONDS = 1800.0
MOST = 10_000
MOST_OF_ONE_KEY = 2_000


@dataclass(eq=False)
class Session:
    """One client session and its upstream session."""

    server: str
    key_id: str
    link: Link
    client: str = ""
    user: str = ""
    """The person, where a proxy in front names several that come with one key."""
    rights: str = ""
    """What the token was granted for that the server is shown something for (`Principal.rights`)."""
    capabilities: Json = None
    """What the client declared in `initialize`."""
    id: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    calls: Calls = field(default_factory=Calls)
    used_at: float = 0.0
    busy: int = 0
    """Open HTTP requests; a session that is in use does not expire."""


class Sessions:
    """Every open session of a front.

    Args:
        clock: measures idleness.
        idle: seconds after which a session ends that nobody uses.
        most: sessions that may be open.
        most_of_one_key: of them, sessions of one key.
        kept: keeps what their clients missed.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        idle: float = IDLE_SECONDS,
        most: int = MOST,
        most_of_one_key: int = MOST_OF_ONE_KEY,
        kept: Kept | None = None,
    ) -> None:
        self.kept = kept or Kept()
        self._clock = clock
        self._idle = idle
        self._most = most
        self._most_of_one_key = most_of_one_key
        self._open: dict[str, Session] = {}
        self._of_key: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def check_room(self, principal: Principal) -> None:
        """Ask whether one more may be opened.

        Raises:
            BadRequestError: too many are open; status 503.
        """
        if len(self._open) >= self._most or self._of_key[principal.key_id] >= self._most_of_one_key:
            raise BadRequestError(503, "sessions", "too many sessions are open: end some, or try again later")

    def admit(self, session: Session) -> None:
        """Open a session."""
        session.used_at = self._clock.monotonic()
        self._open[session.id] = session
        self._of_key[session.key_id] += 1

    def find(self, session_id: str, principal: Principal, server: str) -> Session:
        """The session of an id.

        Raises:
            BadRequestError: this key has no such session on this server; status 404, which makes clients start again.
        """
        session = self._open.get(session_id)
        if (
            session is None
            or session.server != server
            or (session.key_id, session.user, session.rights) != _holder(principal)
        ):
            raise BadRequestError(404, "session", "no such session: start a new one")
        session.used_at = self._clock.monotonic()
        return session

    async def close(self, session: Session) -> None:
        """End a session and its upstream session. Safe to call twice."""
        if self._open.pop(session.id, None) is not None:
            self._of_key[session.key_id] -= 1
            if not self._of_key[session.key_id]:
                del self._of_key[session.key_id]
        session.calls.close()
        await session.link.close()

    async def expire(self) -> None:
        """End the sessions that nobody used for too long."""
        now = self._clock.monotonic()
        expired = [one for one in self._open.values() if not one.busy and now - one.used_at > self._idle]
        for session in expired:
            if session.busy or self._clock.monotonic() - session.used_at <= self._idle:
                continue  # it came into use again while others were ended
            log.info("a session on server `%s` was idle for too long and has ended", session.server)
            await self.close(session)

    async def aclose(self) -> None:
        """End every session."""
        async with anyio.create_task_group() as group:
            for session in list(self._open.values()):
                group.start_soon(self.close, session)


def _holder(principal: Principal) -> tuple[str, str, str]:
    return principal.key_id, principal.user, principal.rights
