"""What both directions of the bridge read and answer with: replies of our own, and a reader that can be woken.

It knows the shape of a `Reply` and nothing of what is translated.
"""

from collections.abc import AsyncIterator, Mapping

import anyio

from governance.jsontree import Json, JsonObject
from mcp_proxy.link import NO_HEADERS, Event, Link, Reply, UpstreamError
from mcp_proxy.message import Message, RequestId
from mcp_proxy.transports.piped import One


class OneReply:
    """An answer that consists of one message."""

    status = 200
    headers = NO_HEADERS

    def __init__(self, message: Message) -> None:
        self.events: AsyncIterator[Event] = One(message)

    async def aclose(self) -> None:
        """Nothing to close."""


class Reader:
    """Reads the events of a reply for one task; another task may wake it."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self._events = aiter(reply.events)
        self._scope: anyio.CancelScope | None = None
        self._woken = False

    async def next(self) -> Event | None:
        """The next event; None if somebody called `wake`.

        Raises:
            StopAsyncIteration: there is none.
            UpstreamError: the rest cannot be read.
        """
        if not self._woken:
            with anyio.CancelScope() as scope:
                self._scope = scope
                try:
                    return await anext(self._events)
                finally:
                    self._scope = None
        self._woken = False
        return None

    def wake(self) -> None:
        """Let `next` return. Nothing that was sent is lost."""
        self._woken = True
        if self._scope is not None:
            self._scope.cancel()

    async def aclose(self) -> None:
        """Close the reply, even if the task is being cancelled."""
        with anyio.CancelScope(shield=True):
            await self.reply.aclose()


async def answer_of(link: Link, message: Message, headers: Mapping[str, str] = NO_HEADERS) -> Message:
    """The response to a request of our own; what comes before it is dropped.

    Raises:
        UpstreamError: there is none.
    """
    reader = Reader(await link.send(message, headers))
    try:
        while True:
            event = await reader.next()
            if event is not None and event.message is not None and event.message.is_response:
                return event.message
    except StopAsyncIteration:
        raise UpstreamError("the server ended its answer without a response") from None
    finally:
        await reader.aclose()


def request(request_id: RequestId, method: str, params: JsonObject) -> Message:
    """A request of our own making."""
    return Message.build({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})


def notification(method: str, params: JsonObject) -> Message:
    """A notification of our own making."""
    return Message.build({"jsonrpc": "2.0", "method": method, "params": params})


def result(request_id: RequestId | None, value: JsonObject) -> Message:
    """A result of our own making."""
    return Message.build({"jsonrpc": "2.0", "id": request_id, "result": value})


def failure(request_id: RequestId | None, code: int, text: str, data: Json = None) -> Message:
    """An error of our own making."""
    error: JsonObject = {"code": code, "message": text}
    if data is not None:
        error["data"] = data
    return Message.build({"jsonrpc": "2.0", "id": request_id, "error": error})
