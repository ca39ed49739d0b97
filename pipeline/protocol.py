"""The HTTP protocol of every front: bounded, and answering bytes that are no request in the proxy's own words.

What must hold of a request that could be read is `border.py`. It is apart from this so that a process which serves no
HTTP loads no server.
"""

from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from governance.config.models import Limits
from pipeline.border import BadRequestError, Render


class BoundedProtocol(HttpToolsProtocol):
    """The HTTP protocol of uvicorn, with a limit to what it holds besides bodies.

    Nothing below it limits a head, and whoever sends one need not have a key, so one that never ends is cut off here.
    """

    longest = 0
    """Most bytes of a head with its target, or of trailers, that are not at their end yet."""
    _steps = 0
    """How often the parser got on: to a message, past its head, to a piece of its body, to its end."""
    _held = 0
    """Bytes that came since, in whole reads."""
    _in_body = False

    def refuse(self, problem: BadRequestError) -> None:
        """Answer before there is a request, and close."""
        raise NotImplementedError

    def data_received(self, data: bytes) -> None:
        """Read on, unless nothing comes of what is read."""
        steps = self._steps
        super().data_received(data)
        self._held = self._held + len(data) if steps == self._steps else 0
        if self._held > self.longest and not self.transport.is_closing():
            self.refuse(BadRequestError(431, "headers", f"more than {self.longest} bytes of headers"))

    def on_message_begin(self) -> None:
        """A head begins."""
        self._steps += 1
        self._in_body = False
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
        super().on_message_complete()


def governed_protocol(
    render: Render, note: Callable[[BadRequestError], None], limits: Limits
) -> type[HttpToolsProtocol]:
    """The HTTP protocol of uvicorn, with its answer to bytes that are no HTTP request in the proxy's own shape.

    llhttp refuses smuggling shapes (Content-Length with Transfer-Encoding, bare line feeds, folded headers) before
    there is a request to route, so this is the only place where they can be answered and noted.
    """

    class GovernedProtocol(BoundedProtocol):
        """Answers what cannot be parsed."""

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
            media_type, body = render({"type": "http", "path": "/", "headers": []}, problem)
            head = b"HTTP/1.1 %d Bad Request\r\ncontent-type: %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            self.transport.write(head % (problem.status, media_type, len(body)) + body)
            self.transport.close()

    return GovernedProtocol
