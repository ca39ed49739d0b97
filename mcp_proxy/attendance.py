"""Waiting with a client whose call is held: signs of life for it, and an end of the waiting when it is gone.

A call whose client left, or called it off, is never executed; its ticket stays for the same call made again. Nor is an
approval used up for a server that waits no longer. Who decides, and when, is the desk's business.
"""

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from itertools import count
from typing import Protocol

import anyio

from approvals.attendance import Attendance
from governance.clock import Clock
from governance.jsontree import Json, JsonObject
from governance.verdict import Decision, Verdict
from mcp_proxy.calls import Call
from mcp_proxy.link import Event, Link, Outlet, Reply, Resuming, Suspending
from mcp_proxy.message import Message

BEAT_SECONDS = 0.25
"""How soon it is noticed that a client left."""
PROGRESS_SECONDS = 5.0
"""How often a client that asked for progress is told that its call still waits."""


STATE = "requestState"
"""Names what a request goes on with (2026-07-28, "Multi Round-Trip Requests")."""
LATE = Verdict(
    Decision.DENY,
    by="approval",
    rule="approval.late",
    reason="it is approved, but the server waits no longer for the call that this goes on with: make that call anew",
)


class Attending(Attendance, Protocol):
    """Stays with a call, and with what its server asks."""

    def for_questions(self) -> Attendance:
        """Stays with the questions in the answer to the call: it is on its way, and cannot be called off any more."""
        ...


class Attendant:
    """Stays with one call (`approvals.attendance.Attendance`).

    Args:
        call: the call that may be held.
        outlet: leads to its client.
        seconds: how long it may wait; None = as long as the configuration says.
        clock: measures how long it waited.
        progress_seconds: how often it is told that it still waits.
    """

    def __init__(
        self,
        call: Call,
        outlet: Outlet,
        seconds: float | None,
        clock: Clock,
        progress_seconds: float = PROGRESS_SECONDS,
    ) -> None:
        self.seconds = seconds
        self._clock = clock
        self._began = clock.monotonic()
        self._call = call
        self._outlet = outlet
        self._token: Json = call.message.meta.get("progressToken")
        self._left = False
        self._beats = max(1, round(progress_seconds / BEAT_SECONDS))
        self._beat_seconds = min(BEAT_SECONDS, progress_seconds)

    @property
    def present(self) -> bool:
        """Whether the client still waits for its call."""
        return not self._outlet.gone and not self._call.called_off

    async def objection(self) -> Verdict | None:
        """Nothing else stands in the way; see `Attendance.objection`."""
        return None

    def for_questions(self) -> Attendance:
        """See `Attending.for_questions`. What the call waited counts: the client gives up on both together."""
        left = None if self.seconds is None else max(0.0, self.seconds - (self._clock.monotonic() - self._began))
        return ForQuestions(self._outlet, left)

    @contextlib.asynccontextmanager
    async def waiting(self, ticket_id: str, link: str, *, detached: bool) -> AsyncGenerator[None]:
        """Attend to the client while the block is open; ends the block early when the client is gone.

        Where the call may go on without it, that is noted: the relay sees to it. A client that called its call off
        has not gone, it wants the call no more.
        """
        if self.seconds == 0:
            yield
            return
        async with anyio.create_task_group() as group:
            self._call.held = group.cancel_scope
            if not self.present:
                group.cancel_scope.cancel()
            group.start_soon(self._attend, link)
            try:
                yield
            finally:
                self._call.held = None
                if detached and self._outlet.gone and (self._left or not self._call.called_off):
                    self._call.outlives = (ticket_id, link)
                group.cancel_scope.cancel()

    async def _attend(self, link: str) -> None:
        for beat in count(1):
            await anyio.sleep(self._beat_seconds)
            if not self.present:
                self._left = not self._call.called_off
                self._call.call_off()
                return
            if beat % self._beats == 0 and isinstance(self._token, str | int):
                await self._call.put(Event(self._progress(beat // self._beats, link)))

    def _progress(self, times: int, link: str) -> Message:
        """A sign of life. Its numbers stay small, so that those of the server, which come later, are larger."""
        text = f"waiting for a person to approve this call at {link}"
        params: JsonObject = {"progressToken": self._token, "progress": times / 1000, "message": text}
        return Message.build({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})


class ForQuestions:
    """Stays with the questions of a server to one client (`approvals.attendance.Attendance`).

    Args:
        outlet: leads to the client.
        seconds: how long they may wait.
    """

    def __init__(self, outlet: Outlet, seconds: float | None) -> None:
        self.seconds = seconds
        self._outlet = outlet

    @property
    def present(self) -> bool:
        """Whether the client still waits for its call."""
        return not self._outlet.gone

    async def objection(self) -> Verdict | None:
        """Nothing else stands in the way; see `Attendance.objection`."""
        return None

    def waiting(self, ticket_id: str, link: str, *, detached: bool) -> AbstractAsyncContextManager[None]:
        """Do nothing for the client; see `Attendance.waiting`."""
        return contextlib.nullcontext()


def going_on(attendance: Attendance, message: Message, link: Link) -> Attendance:
    """Attends to a request that may go on with a call that waits at the server."""
    if STATE not in message.params or not isinstance(link, Resuming):
        return attendance
    return _Lasting(attendance, partial(link.waits, message))


def suspended(attendance: Attendance, reply: Reply | None) -> Attendance:
    """Attends to questions for whose answers the call may wait at the server."""
    return _Lasting(attendance, reply.waits) if isinstance(reply, Suspending) else attendance


class _Lasting:
    """Attends as another does, as long as the server waits for what is to be approved.

    Args:
        attendance: the other.
        waits: tells whether the server does.
    """

    def __init__(self, attendance: Attendance, waits: Callable[[], Awaitable[bool]]) -> None:
        self.seconds = attendance.seconds
        self._attendance = attendance
        self._waits = waits

    @property
    def present(self) -> bool:
        """See `Attendance.present`."""
        return self._attendance.present

    async def objection(self) -> Verdict | None:
        """See `Attendance.objection`."""
        return await self._attendance.objection() or (None if await self._waits() else LATE)

    def waiting(self, ticket_id: str, link: str, *, detached: bool) -> AbstractAsyncContextManager[None]:
        """See `Attendance.waiting`."""
        return self._attendance.waiting(ticket_id, link, detached=detached)
