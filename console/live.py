"""The lists of the console as they change, by server-sent events that carry a piece of our own page."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import anyio
from starlette.responses import Response, StreamingResponse

from console.frame import Frame, Visit
from console.pages import approvals
from console.pages import kills as kill_page
from console.pages import pins as pin_page
from console.pages import servers as server_page
from console.pages import sessions as session_page
from governance import jsontree
from governance.jsontree import JsonObject
from pipeline.border import BadRequestError

LOOK_SECONDS = 0.5
LONGEST_SECONDS = 300
"""A stream ends after this long and the browser opens it again: a session that ended does not keep on looking."""
BEAT_SECONDS = 15


async def tickets(frame: Frame, visit: Visit) -> Response:
    """The stream of the approvals page. Its first event is the list as it stands."""
    tenant = visit.visitor.tenant

    async def listed() -> JsonObject:
        return {"html": await approvals.listed(frame, tenant), "waiting": await _waiting(frame, visit)}

    return _stream(frame.core.desk.pulse, listed)


async def pins(frame: Frame, visit: Visit) -> Response:
    """The stream of the pins page. Its first event is the list as it stands."""

    async def pulse() -> str:
        return str(await frame.core.reviews.version())

    async def listed() -> JsonObject:
        return {"html": await pin_page.listed(frame), "waiting": await _waiting(frame, visit)}

    return _stream(pulse, listed)


async def servers(frame: Frame, visit: Visit) -> Response:
    """The stream of the page of servers. Its first event is the list as it stands."""

    async def pulse() -> str:
        return repr([replace(one, seen_at="") for one in await server_page.reports(frame)])

    async def listed() -> JsonObject:
        return {"html": await server_page.listed(frame), "waiting": await _waiting(frame, visit)}

    return _stream(pulse, listed)


async def kills(frame: Frame, visit: Visit) -> Response:
    """The stream of the page of what is stopped. Its first event is the list as it stands."""

    async def pulse() -> str:
        return repr(await kill_page.found(frame))

    async def listed() -> JsonObject:
        html = await kill_page.listed(frame, visit.visitor.csrf)
        return {"html": html, "waiting": await _waiting(frame, visit)}

    return _stream(pulse, listed)


async def session(frame: Frame, visit: Visit) -> Response:
    """The stream of the page of a session, as long as it shows the newest events. Its first event is all of them."""
    run = await session_page.find(frame, visit)
    if run is None:
        raise BadRequestError(404, "unknown", "there is no session with this id, or it is not for you to see")

    async def pulse() -> str:
        newest = await frame.events.of_session(run.id, await session_page.parts_of(frame, run), 1)
        return str([one.seq for one in newest])

    async def listed() -> JsonObject:
        html = await session_page.listed(frame, run, visit.visitor)
        return {"html": html, "waiting": await _waiting(frame, visit)}

    return _stream(pulse, listed)


def _stream(pulse: Callable[[], Awaitable[str]], listed: Callable[[], Awaitable[JsonObject]]) -> Response:
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_changes(pulse, listed), media_type="text/event-stream", headers=headers)


async def _changes(
    pulse: Callable[[], Awaitable[str]], listed: Callable[[], Awaitable[JsonObject]]
) -> AsyncIterator[bytes]:
    shown = ""
    for look in range(round(LONGEST_SECONDS / LOOK_SECONDS)):
        now = await pulse()
        if now != shown:
            shown = now
            yield _event(await listed())
        elif look % round(BEAT_SECONDS / LOOK_SECONDS) == 0:
            yield b": still here\n\n"
        await anyio.sleep(LOOK_SECONDS)


async def _waiting(frame: Frame, visit: Visit) -> int:
    return await frame.waiting(visit.visitor)


def _event(value: JsonObject) -> bytes:
    return b"event: list\ndata: " + jsontree.dump(value) + b"\n\n"
