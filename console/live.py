"""The approvals list as it changes, by server-sent events. What an event carries is a piece of our own page."""

from collections.abc import AsyncIterator

import anyio
from starlette.responses import Response, StreamingResponse

from approvals.ticket import State
from console.frame import Frame, Visit
from console.pages import approvals
from governance import jsontree
from governance.jsontree import JsonObject

LOOK_SECONDS = 0.5
LONGEST_SECONDS = 300
"""A stream ends after this long and the browser opens it again: a session that ended does not keep on looking."""
BEAT_SECONDS = 15


async def tickets(frame: Frame, visit: Visit) -> Response:
    """The stream of the approvals page. Its first event is the list as it stands."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_changes(frame, visit), media_type="text/event-stream", headers=headers)


async def _changes(frame: Frame, visit: Visit) -> AsyncIterator[bytes]:
    tenant, shown = visit.visitor.tenant, ""
    for look in range(round(LONGEST_SECONDS / LOOK_SECONDS)):
        pulse = await frame.core.desk.pulse()
        if pulse != shown:
            shown = pulse
            yield _event(await _list(frame, tenant))
        elif look % round(BEAT_SECONDS / LOOK_SECONDS) == 0:
            yield b": still here\n\n"
        await anyio.sleep(LOOK_SECONDS)


async def _list(frame: Frame, tenant: str | None) -> JsonObject:
    waiting = await frame.core.desk.tickets([State.PENDING], tenant=tenant)
    return {"html": await approvals.listed(frame, tenant), "waiting": len(waiting)}


def _event(value: JsonObject) -> bytes:
    return b"event: tickets\ndata: " + jsontree.dump(value) + b"\n\n"
