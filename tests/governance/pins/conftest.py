"""Pins on a database of each kind, and what tests do to them."""

import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from sqlmodel import Session, col, select

from governance.audit.log import Journal
from governance.clock import Clock
from governance.config.models import McpServer
from governance.jsontree import Json, JsonObject
from governance.pins.manifest import Manifest
from governance.pins.pin import Kind
from governance.pins.pins import Pins
from governance.pins.plan import Rules
from governance.pins.reviews import Reviews, page
from governance.pins.store import SqlPins
from governance.store import Store, open_store
from governance.store.tables import EventRow
from tests.conftest import ManualClock

READ: JsonObject = {"name": "read_file", "description": "reads", "inputSchema": {"type": "object"}}
WRITE: JsonObject = {"name": "write_file", "description": "writes"}


def suspicious(value: Json) -> tuple[str, ...]:
    """A scan that finds what says so."""
    return ("injection.direct",) if "ignore" in json.dumps(value) else ()


@dataclass
class Replica:
    """What one process knows of pins."""

    store: Store
    clock: Clock
    table: SqlPins
    servers: dict[str, McpServer] = field(default_factory=dict[str, McpServer])

    def __post_init__(self) -> None:
        self.open()

    def open(self, manifest: Manifest | None = None) -> None:
        """Begin anew, as after a restart."""
        rules = Rules(self.servers, suspicious, manifest or Manifest())
        self.pins = Pins(self.table, self.clock, rules, partial(page, "http://console"))
        self.reviews = Reviews(self.table, self.clock)

    def set(self, mode: Any, server: str = "files") -> None:
        """Choose the mode of a server."""
        self.servers[server] = McpServer(pins=mode)

    async def lists(
        self, *tools: JsonObject, server: str = "files", complete: bool = True, kind: Kind = Kind.TOOL
    ) -> list[str]:
        """Let a server list tools, or another kind; returns the names that an agent may see."""
        given: dict[str, Json] = {str(tool["name"]): tool for tool in tools}
        hidden = await self.pins.learn(server, kind, given, complete=complete)
        return [name for name in given if name not in hidden]

    async def waiting(self) -> list[tuple[str, str]]:
        """Names and rules of what waits."""
        return [(pin.name, pin.rule) for pin in await self.reviews.pins(waiting=True)]

    async def approve(self, name: str) -> bool:
        """Approve what waits under this name."""
        (found,) = [pin for pin in await self.reviews.pins() if pin.name == name]
        decided = await self.reviews.approve(found.id, by="anna")
        return decided is not None and decided.made

    async def reject(self, name: str) -> bool:
        """Reject what stands under this name."""
        (found,) = [pin for pin in await self.reviews.pins() if pin.name == name]
        decided = await self.reviews.reject(found.id, by="anna", reason="no")
        return decided is not None and decided.made

    async def events(self) -> list[dict[str, Any]]:
        """The audit events, in order."""

        def work(session: Session) -> list[str]:
            return [row.body for row in session.exec(select(EventRow).order_by(col(EventRow.seq))).all()]

        return [json.loads(body) for body in await self.store.read(work)]


@contextlib.asynccontextmanager
async def replica_at(url: str, clock: Clock) -> AsyncGenerator[Replica]:
    """One process on a database."""
    async with open_store(url) as store:
        yield Replica(store, clock, SqlPins(store, Journal(store, bytes(32), clock, writer="test"), clock))


@pytest.fixture
async def replica(database_url: str, clock: ManualClock) -> AsyncIterator[Replica]:
    """One process on each database."""
    async with replica_at(database_url, clock) as opened:
        yield opened


@pytest.fixture
def another(database_url: str, clock: ManualClock) -> Callable[[], contextlib.AbstractAsyncContextManager[Replica]]:
    """Opens one more process on the same database."""
    return partial(replica_at, database_url, clock)
