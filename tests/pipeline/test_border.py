"""`pipeline.border`: what may come in at all, tried with raw bytes on a real uvicorn."""

import contextlib
import socket
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

import pytest
import uvicorn

from governance.config.models import Limits
from pipeline.border import AsgiScope, BadRequestError, Border, Receive, Send, answer, local_peer, read_body
from pipeline.protocol import governed_protocol

LIMITS = Limits(body_bytes=2048, headers=20, header_bytes=4096)


def render(scope: AsgiScope, problem: BadRequestError) -> tuple[bytes, bytes]:
    return b"application/json", b'{"error":"%s: %s"}' % (problem.code.encode(), problem.message.encode())


@dataclass
class Front:
    port: int
    recorded: list[str] = field(default_factory=list[str])

    def send(self, raw: bytes) -> tuple[int, bytes]:
        """Write raw bytes; returns the status and everything that came back."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            back = b"".join(iter(lambda: connection.recv(65536), b""))
        return int(back.split(b" ", 2)[1]), back


async def echo(scope: AsgiScope, receive: Receive, send: Send) -> None:
    """The application behind the border: sends the body back."""
    if scope["type"] != "http":
        return
    try:
        body = await read_body(scope, receive, limit=LIMITS.body_bytes)
    except BadRequestError as problem:
        await answer(scope, send, problem, render)
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with fronting(LIMITS) as front:
        yield front


@pytest.fixture
def impatient() -> Iterator[Front]:
    with fronting(LIMITS.model_copy(update={"request_seconds": 0.2})) as front:
        yield front


@contextlib.contextmanager
def fronting(limits: Limits) -> Generator[Front]:
    recorded: list[str] = []

    async def record(path: str, problem: BadRequestError) -> None:
        recorded.append(problem.code)

    app = Border(
        echo, hosts=["localhost", "127.0.0.1", "[::1]"], limits=limits, render=render, record=record, trusted="X-User"
    )
    protocol = governed_protocol(render, lambda problem: recorded.append(problem.code), limits)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=protocol, ws="none", lifespan="off", log_level="critical")  # pyright: ignore[reportArgumentType] - ASGI callables are typed by shape here
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield Front(listener.getsockname()[1], recorded)
    server.should_exit = True
    thread.join(5)
    listener.close()


def post(headers: bytes, body: bytes = b"{}") -> bytes:
    return (
        b"POST /x HTTP/1.1\r\n"
        + headers
        + b"content-type: application/json\r\nconnection: close\r\n"
        + (b"" if b"ength" in headers or b"hunked" in headers else b"content-length: %d\r\n" % len(body))
        + b"\r\n"
        + body
    )


SLOW = [
    b"POST /x HT",
    b"POST /x HTTP/1.1\r\nhost: localhost\r\n",
    post(b"host: localhost\r\ncontent-length: 10\r\n", b""),
    post(b"host: localhost\r\ncontent-length: 10\r\n", b"{"),
    post(b"host: localhost\r\ntransfer-encoding: chunked\r\n", b"1\r\n{\r\n"),
]


@pytest.mark.parametrize("raw", SLOW, ids=repr)
@pytest.mark.parametrize("before", [b"", post(b"host: localhost\r\n").replace(b"connection: close\r\n", b"")])
def test_a_request_that_does_not_arrive_is_given_up_in_time(impatient: Front, raw: bytes, before: bytes) -> None:
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=20) as connection:
        if before:
            connection.sendall(before)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(raw)
        back = b"".join(iter(lambda: connection.recv(65536), b""))
    assert back.endswith(b'{"error":"slow: the request took longer than 0.2 seconds to arrive"}')
    assert back.startswith((b"HTTP/1.1 408 Request Timeout", b"{}HTTP/1.1 408"))
    assert impatient.recorded == ["slow"]


def test_a_connection_on_which_nothing_comes_is_closed(impatient: Front) -> None:
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=20) as connection:
        assert connection.recv(65536) == b""
    assert impatient.recorded == []


def test_a_refused_request_whose_body_never_ends_is_closed_and_answered_once(impatient: Front) -> None:
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=20) as connection:
        connection.sendall(post(b"host: evil.example\r\ncontent-length: 10\r\n", b"{"))
        back = b"".join(iter(lambda: connection.recv(65536), b""))
    assert (back.count(b"HTTP/1.1"), impatient.recorded) == (1, ["host"])


def test_a_sound_request_passes(front: Front) -> None:
    status, back = front.send(post(b"host: 127.0.0.1:8080\r\norigin: http://localhost:8080\r\n", b'{"a":1}'))
    assert status == 200
    assert back.endswith(b'{"a":1}')


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        (b"host: evil.example\r\n", 421, "host"),
        (b"host: localhost.evil.example\r\n", 421, "host"),
        (b"host: 127.0.0.1.nip.io\r\n", 421, "host"),
        (b"host: localhost@evil.example\r\n", 421, "host"),
        (b"host: localhost/x?\r\n", 421, "host"),
        (b"host: localhost:99999\r\n", 421, "host"),
        (b"host: localhost.\r\n", 421, "host"),
        (b"host: \xff\r\n", 421, "host"),
        (b"", 400, "host"),
        (b"host: localhost\r\nhost: localhost\r\n", 400, "host"),
        (b"host: localhost\r\nhost: evil.example\r\n", 400, "host"),
        (b"host: localhost\r\norigin: https://evil.example\r\n", 403, "origin"),
        (b"host: localhost\r\norigin: null\r\n", 403, "origin"),
        (b"host: localhost\r\norigin: http://localhost\r\norigin: http://localhost\r\n", 403, "origin"),
        (b"host: localhost\r\norigin: http://localhost.evil.example\r\n", 403, "origin"),
        (b"host: localhost\r\n" + b"x-a: b\r\n" * 30, 431, "headers"),
        (b"host: localhost\r\nx-a: " + b"b" * 5000 + b"\r\n", 431, "headers"),
        (b"host: localhost\r\nx-user: ann\r\nX-USER: ben\r\n", 400, "headers"),
        (b"host: localhost\r\ncontent-encoding: gzip\r\n", 415, "encoding"),
        (b"host: localhost\r\ncontent-length: 3000\r\n", 413, "too_large"),
        (b"host: localhost\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n", 400, "malformed"),
        (b"host: localhost\r\ncontent-length: 2\r\ncontent-length: 3\r\n", 400, "malformed"),
        (b"host: localhost\r\nx: a\r\n folded\r\n", 400, "malformed"),
    ],
)
def test_an_unsound_request_is_answered_in_our_own_words(front: Front, headers: bytes, status: int, code: str) -> None:
    got, back = front.send(post(headers))
    assert got == status
    assert b'{"error":"%s: ' % code.encode() in back


def test_what_the_border_turns_away_is_recorded(front: Front) -> None:
    front.recorded.clear()
    front.send(post(b"host: evil.example\r\n"))
    front.send(post(b"host: localhost\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n"))
    assert front.recorded == ["host", "malformed"]


@pytest.mark.parametrize(
    ("beginning", "part"),
    [
        (b"GET /x HTTP/1.1\r\nhost: localhost\r\n", b"x-a: " + b"b" * 1000 + b"\r\n"),
        (b"GET /x HTTP/1.1\r\nhost: localhost\r\nx-a: ", b"b" * 1000),
        (b"GET /", b"x" * 1000),
        (post(b"host: localhost\r\ntransfer-encoding: chunked\r\n", b"1\r\nx\r\n0\r\n"), b"x-a: " + b"b" * 999),
    ],
)
def test_a_head_that_never_ends_is_cut_off(front: Front, beginning: bytes, part: bytes) -> None:
    with socket.create_connection(("127.0.0.1", front.port), timeout=5) as connection:
        connection.sendall(beginning)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 64 * 2**20:
                connection.sendall(part * 100)
                sent += 100 * len(part)
    assert sent < 64 * 2**20


def test_a_body_in_small_pieces_is_no_endless_head(front: Front) -> None:
    head = post(b"host: localhost\r\nconnection: close\r\ncontent-length: 2000\r\n", b"")
    with socket.create_connection(("127.0.0.1", front.port), timeout=5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for place in range(len(head)):
            connection.sendall(head[place : place + 1])
        for _ in range(2000):
            connection.sendall(b"x")
        assert b"".join(iter(lambda: connection.recv(65536), b"")).endswith(b"x" * 2000)


def test_a_trailer_is_no_header(front: Front) -> None:
    trailed = b"1\r\nx\r\n0\r\nx-user: root\r\nhost: evil.example\r\n\r\n"
    assert front.send(post(b"host: localhost\r\ntransfer-encoding: chunked\r\n", trailed))[0] == 200


def test_a_chunked_body_is_refused_as_soon_as_it_is_too_large(front: Front) -> None:
    chunks = b"400\r\n" + b"x" * 1024 + b"\r\n"
    status, back = front.send(post(b"host: localhost\r\ntransfer-encoding: chunked\r\n", chunks * 3 + b"0\r\n\r\n"))
    assert status == 413
    assert b"too_large" in back


def test_another_media_type_is_refused(front: Front) -> None:
    raw = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\n{}"
    assert front.send(raw)[0] == 415


@pytest.mark.parametrize("target", [b"http://evil.example/x", b"//evil.example/x", b"/a\\b"])
def test_a_target_that_is_not_a_path_is_refused(front: Front, target: bytes) -> None:
    raw = b"GET " + target + b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    assert front.send(raw)[0] == 400


@pytest.mark.parametrize(
    ("peer", "host", "more", "local"),
    [
        ("127.0.0.1", b"127.0.0.1:8080", (), "127.0.0.1"),
        ("::1", b"[::1]:8080", (), "::1"),
        ("127.0.0.1", b"localhost", (), "127.0.0.1"),
        ("192.0.2.7", b"127.0.0.1", (), ""),
        ("127.0.0.1", b"wicket.example", (), ""),
        ("127.0.0.1", b"127.0.0.1", ((b"x-forwarded-for", b"192.0.2.7"),), ""),
        ("127.0.0.1", b"127.0.0.1", ((b"via", b"1.1 front"),), ""),
        ("127.0.0.1", b"127.0.0.1", ((b"forwarded", b"for=192.0.2.7"),), ""),
        (None, b"127.0.0.1", (), ""),
    ],
)
def test_what_shows_that_it_came_through_a_proxy_was_not_made_on_this_machine(
    peer: str | None, host: bytes, more: tuple[tuple[bytes, bytes], ...], local: str
) -> None:
    client = None if peer is None else (peer, 1)
    assert local_peer({"client": client, "headers": [(b"host", host), *more]}) == local
