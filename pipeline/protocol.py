"""The HTTP protocol of every front: bounded, and answering bytes that are no request in the proxy's own words.

What must hold of a request that could be read is `border.py`. It is apart from this so that a process which serves no
HTTP loads no server.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from governance.config.models import Limits
from pipeline.border import AsgiScope, BadRequestError, Render


class BoundedProtocol(HttpToolsProtocol):
    """The HTTP protocol of uvicorn, with a limit to what it holds besides bodies, and to the time a request takes.

    Nothing below it limits a head, and whoever sends one need not have a key, so one that never ends is cut off here.
    So is a request that comes drop by drop, and a connection on which none ever comes: each holds memory and a place.
    A request that arrives in one piece sets no timer.
    """

    longest = 0
    """Most bytes of a head with its target, or of trailers, that are not at their end yet."""
    slowest = 0.0
    """Most seconds from the first byte of a request, or from the opening of the connection, to its end."""
    _deadline: asyncio.TimerHandle | None = None
    _is_arriving = False
    """Whether a request has begun and is not complete."""
    _is_new = False
    """Whether it began in the bytes that came last."""
    _steps = 0
    """How often the parser got on: to a message, past its head, to a piece of its body, to its end."""
    _held = 0
    """Bytes that came since, in whole reads."""
    _in_body = False

    def refuse(self, problem: BadRequestError) -> None:
        """Answer before there is a request, and close."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection is there; its first request must come in time."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless nothing comes of what is read."""
        steps = self._steps
        super().data_received(data)
        if not self._is_arriving:
            self._wait_no_more()
        elif self._is_new:
            self._is_new = False
            self._wait()
        self._held = self._held + len(data) if steps == self._steps else 0
        if self._held > self.longest and not self.transport.is_closing():
            self.refuse(BadRequestError(431, "headers", f"more than {self.longest} bytes of headers"))

    def on_message_begin(self) -> None:
        """A head begins."""
        self._steps += 1
        self._in_body = False
        self._is_arriving = self._is_new = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; of a trailer nothing, because uvicorn would add it to the headers that were looked at."""
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A head is complete."""
        self._steps += 1
        self._in_body = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._steps += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A message is complete."""
        self._steps += 1
        self._is_arriving = False
        super().on_message_complete()

    def _wait(self) -> None:
        self._wait_no_more()
        if not self.transport.is_closing():
            self._deadline = self.loop.call_later(self.slowest, self._too_slow)

    def _wait_no_more(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        """Give up a request that does not arrive; without one there is nobody to answer."""
        self._deadline = None
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return
        if self.flow.read_paused:  # it is we who do not read
            self._wait()
        elif self._is_arriving and not self._is_answered():
            self.refuse(
                BadRequestError(408, "slow", f"the request took longer than {self.slowest:g} seconds to arrive")
            )
        else:
            self.transport.close()

    def _is_answered(self) -> bool:
        """Whether an answer was given or is on its way, into which nothing may be written."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is None:
            return False
        if self._in_body:
            return cycle.response_started or bool(self.pipeline)
        return not cycle.response_complete


def governed_protocol(
    render: Render, note: Callable[[BadRequestError], None], limits: Limits
) -> type[HttpToolsProtocol]:
    """The HTTP protocol of uvicorn, with its answer to bytes that are no HTTP request in the proxy's own shape.

    llhttp refuses smuggling shapes (Content-Length with Transfer-Encoding, bare line feeds, folded headers) before
    there is a request to route, so this is the only place where they can be answered and noted.
    """

    class GovernedProtocol(BoundedProtocol):
        """Answers what cannot be parsed."""

        slowest = limits.request_seconds
        longest = 2 * limits.header_bytes  # line ends and colons too; `Border` counts exactly

        def on_headers_complete(self) -> None:
            """Let the border see an absolute target: httptools keeps only its path, the host in it would be lost."""
            super().on_headers_complete()
            if not self.url.startswith(b"/"):
                self.scope["raw_path"] = self.url

        def send_400_response(self, msg: str) -> None:
            """Answer in our own words; `msg` is uvicorn's."""
            self.refuse(BadRequestError(400, "malformed", "not a well-formed HTTP request"))

        def refuse(self, problem: BadRequestError) -> None:
            """Answer before there is a request, and close."""
            note(problem)
            nowhere: AsgiScope = {"type": "http", "path": "/", "headers": []}
            scope = cast("AsgiScope", self.scope) if self._in_body else nowhere
            media_type, body = render(scope, problem)
            head = b"HTTP/1.1 %d %s\r\ncontent-type: %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            phrase = HTTPStatus(problem.status).phrase.encode()
            self.transport.write(head % (problem.status, phrase, media_type, len(body)) + body)
            self.transport.close()

    return GovernedProtocol
