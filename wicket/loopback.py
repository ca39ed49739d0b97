"""A person with a browser on this machine: shows the address at which to sign in, and waits for it to come back.

The browser comes back to a port of 127.0.0.1 (RFC 8252 section 7.3). One answer is taken; what it says is checked by
whoever asked.
"""

import contextlib
from collections.abc import AsyncGenerator, Callable
from hmac import compare_digest
from urllib.parse import parse_qs, urlsplit

import anyio
from anyio.abc import SocketAttribute, SocketStream

from mcp_proxy.credentials.credential import CredentialError
from mcp_proxy.credentials.person import Answer
from wicket.exits import CommandError, Exit

PATH = "/callback"
_MOST_BYTES = 16 * 1024
_READ_SECONDS = 5.0
_HEAD = (
    "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\n"
    "cache-control: no-store\r\nreferrer-policy: no-referrer\r\nx-content-type-options: nosniff\r\n"
    "connection: close\r\n\r\n"
)


class Browser:
    """`mcp_proxy.credentials.person.Person` by a browser on this machine.

    Args:
        port: where it comes back.
        show: tells the person an address.
    """

    def __init__(self, port: int, show: Callable[[str], None]) -> None:
        self.redirect_uri = f"http://127.0.0.1:{port}{PATH}"
        self._show = show
        self._came_back = anyio.Event()
        self._found: dict[str, str] = {}
        self._state = ""

    async def visit(self, url: str) -> None:
        """Show the address at which to sign in."""
        self._state = parse_qs(urlsplit(url).query).get("state", [""])[0]
        self._show(url)

    async def answer(self) -> Answer:
        """Wait for the browser to come back.

        Raises:
            CredentialError: the person, or the server, said no.
        """
        await self._came_back.wait()
        if "code" not in self._found:
            word = self._found.get("error", "")
            told = f" (`{word}`)" if word.replace("_", "").isalpha() and word.isascii() else ""
            raise CredentialError(f"the sign-in was refused{told}")
        return Answer(self._found["code"], self._found.get("state", ""), self._found.get("iss"))

    async def receive(self, stream: SocketStream) -> None:
        """Answer one connection of the browser."""
        async with stream:
            with anyio.move_on_after(_READ_SECONDS), contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                status, text = self._take(await _request_line(stream))
                body = text.encode()
                await stream.send(_HEAD.format(status=status, length=len(body)).encode() + body)

    def _take(self, line: str) -> tuple[str, str]:
        verb, _, rest = line.partition(" ")
        path, _, query = rest.partition(" ")[0].partition("?")
        found = {name: values[0] for name, values in parse_qs(query).items() if len(values) == 1}
        if verb != "GET" or path != PATH or not ("code" in found or "error" in found):
            return "404 Not Found", "There is nothing here."
        # Any page in the browser, and any program here, can call this address: only who knows the state is heard.
        if not self._state or not compare_digest(found.get("state", "").encode(), self._state.encode()):
            return "400 Bad Request", "This does not belong to the sign-in that the terminal waits for."
        if not self._came_back.is_set():
            self._found = found
            self._came_back.set()
        return "200 OK", "Wicket has heard back. You may close this page; the terminal says how it went."


@contextlib.asynccontextmanager
async def open_browser(port: int, show: Callable[[str], None]) -> AsyncGenerator[Browser]:
    """Listen for the browser while the block is open.

    Args:
        port: of 127.0.0.1; 0 = any.
        show: tells the person an address.

    Raises:
        CommandError: the port is taken.
    """
    try:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
    except OSError:
        raise CommandError(
            Exit.UNAVAILABLE, f"port {port} of 127.0.0.1 is taken: end what listens there, or set `auth.callback_port`"
        ) from None
    async with listener, anyio.create_task_group() as group:
        bound = listener.extra(SocketAttribute.local_port)  # noqa: S610 - of a socket
        browser = Browser(bound, show)
        group.start_soon(listener.serve, browser.receive)
        try:
            yield browser
        finally:
            group.cancel_scope.cancel()


async def _request_line(stream: SocketStream) -> str:
    received = b""
    while b"\r\n\r\n" not in received and len(received) <= _MOST_BYTES:
        received += await stream.receive()
    return received.partition(b"\r\n")[0].decode("latin-1")
