"""Waiting with a client whose call is held: signs of life for it, and an end of the waiting when it is gone.

A call whose client left, or called it off, is never executed; its ticket stays for the same call made again. Who
decides, and when, is the desk's business.
"""

import contextlib
from collections.abc import AsyncGenerator
from itertools import count

import anyio

from governance.jsontree import Json, JsonObject
from mcp_proxy.calls import Call
from mcp_proxy.link import Event, Outlet
from mcp_proxy.message import Message

BEAT_SECONDS = 0.25
"""How soon it is noticed that a client left."""
PROGRESS_SECONDS = 5.0
"""How often a client that asked for progress is told that its call still waits."""


class Attendant:
    """Stays with one call (`approvals.desk.Attendance`).

    Args:
        call: the call that may be held.
        outlet: leads to its client.
        seconds: how long it may wait; None = as long as the configuration says.
        progress_seconds: how often it is told that it still waits.
    """

    def __init__(
        self, call: Call, outlet: Outlet, seconds: float | None, progress_seconds: float = PROGRESS_SECONDS
    ) -> None:
        self.seconds = seconds
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

    async def agreed(self) -> bool:
        """Nothing else stands in the way; see `Attendance.agreed`."""
        return True

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
