"""A real HTTP server on loopback, in a thread of its own, for as long as a block is open."""

import contextlib
import socket
from collections.abc import Generator
from threading import Event, Thread
from typing import Any, Literal

import uvicorn


class AnnouncedServer(uvicorn.Server):
    """Says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@contextlib.contextmanager
def served(app: Any, *, lifespan: Literal["on", "off"] = "off") -> Generator[int]:
    """Serve an ASGI app; yields the port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="error", lifespan=lifespan, ws="none", timeout_graceful_shutdown=2)
        server = AnnouncedServer(config)
        thread = Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            assert server.ready.wait(20)
            yield int(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(20)
