"""The calls that wait for a modern client's next leg: who may take one up again, and how long it waits.

A state names a call, and the first who brings it takes the call: it works once. Nothing is forwarded here.
"""

import logging
import secrets
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field

from anyio.abc import TaskGroup

from governance.clock import Clock
from governance.jsontree import Json
from governance.verdict import Verdict
from mcp_proxy.bridge.conversation import Conversation
from mcp_proxy.bridge.request_state import States
from mcp_proxy.link import Track
from mcp_proxy.message import Message

log = logging.getLogger(__name__)

LEAST_SECONDS = 300.0
"""How long a suspended call waits at least for its client, unless the server may not be silent for so long."""
MOST_OF_ONE = 32
"""Suspended calls of one principal on one server."""
MOST = 1000
"""Suspended calls on one server."""

Owner = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Waiting:
    talk: Conversation
    owner: Owner
    until: float
    tracked: ExitStack = field(default_factory=ExitStack)
    """Closed with the waiting: nobody asks any more whether its run was killed."""


class Suspensions:
    """The suspended calls of one server.

    Args:
        key: 32 bytes; seals the states.
        server: the server's name.
        clock: measures how long a call waits.
        patience: how long a person may take to decide about a leg or a question, and the client to use the approval.
        silence: `limits.upstream_seconds`. No call waits longer, or the server's answer would be given up.
        group: owns the cancelling of calls whose run was killed.
    """

    def __init__(
        self, key: bytes, server: str, clock: Clock, patience: float, silence: float, group: TaskGroup
    ) -> None:
        self._lifetime = min(max(LEAST_SECONDS, patience), silence)
        self._states = States(key, server, clock, self._lifetime)
        self._clock = clock
        self._group = group
        self._waiting: dict[str, _Waiting] = {}
        self._of_owner: Counter[Owner] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def suspend(self, talk: Conversation, owner: Owner, asked: Message) -> str | None:
        """Keep a call; returns the `requestState` to take it up with, or None if too many wait."""
        if len(self._waiting) >= MOST or self._of_owner[owner] >= MOST_OF_ONE:
            return None
        handle = secrets.token_urlsafe(16)
        self._waiting[handle] = _Waiting(talk, owner, self._clock.monotonic() + self._lifetime)
        self._of_owner[owner] += 1
        return self._states.seal(handle, owner, asked)

    def resume(self, state: Json, owner: Owner, asked: Message) -> Conversation | None:
        """Take up a call. None if the state is not for this request of this owner, was used, or has expired."""
        talk = self.find(state, owner, asked)
        if talk is not None:
            self.forget(talk)
        return talk

    def find(self, state: Json, owner: Owner, asked: Message) -> Conversation | None:
        """The call that `resume` would take up."""
        handle = self._states.open(state, owner, asked)
        waiting = self._waiting.get(handle) if handle is not None else None
        return waiting.talk if waiting is not None and waiting.owner == owner else None

    def holds(self, talk: Conversation) -> bool:
        """Whether a call waits."""
        return any(one.talk is talk for one in self._waiting.values())

    def forget(self, talk: Conversation) -> bool:
        """A call is over although it waits: its session is gone, or nobody takes it up. Returns whether it waited."""
        handles = [handle for handle, one in self._waiting.items() if one.talk is talk]
        for handle in handles:
            self._forget(handle)
        return bool(handles)

    def ends_with(self, talk: Conversation, track: Track) -> None:
        """If a call waits, cancel it at the server at once when its run is killed."""

        def cut(_verdict: Verdict) -> None:
            if self.forget(talk):
                self._group.start_soon(_call_off, talk)

        for one in self._waiting.values():
            if one.talk is talk:
                one.tracked.enter_context(track(cut))

    async def expire(self) -> None:
        """Cancel the calls that waited for too long."""
        now = self._clock.monotonic()
        for handle, one in list(self._waiting.items()):
            if now >= one.until and handle in self._waiting:
                self._forget(handle)
                await one.talk.cancel()

    def _forget(self, handle: str) -> None:
        one = self._waiting.pop(handle)
        one.tracked.close()
        owner = one.owner
        self._of_owner[owner] -= 1
        if not self._of_owner[owner]:
            del self._of_owner[owner]


async def _call_off(talk: Conversation) -> None:
    """Cancel a call at the server. Nothing may come out of here: it is nobody's child."""
    try:
        await talk.cancel("its run was stopped")
    except Exception:
        log.exception("a suspended call of a run that was stopped could not be cancelled")
