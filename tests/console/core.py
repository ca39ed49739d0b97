"""The organs that the console needs, all real, on a database of their own."""

import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from approvals.desk import Desk, Manners
from approvals.grants.store import SqlGrants
from approvals.store import SqlTickets
from governance.audit.event import Draft, Tag, Value
from governance.audit.flood import Bounded
from governance.audit.keys import derive
from governance.audit.log import Journal
from governance.config.models import Config, McpServer, Provider
from governance.exchange import Exchange
from governance.identity.directory import Identity
from governance.identity.keys import Grant, KeyRole, mint
from governance.identity.store import SqlKeys
from governance.jsontree import Json, JsonObject
from governance.pins.manifest import Manifest
from governance.pins.pin import Kind
from governance.pins.pins import Pins
from governance.pins.plan import Rules
from governance.pins.reviews import Reviews
from governance.pins.scan import nothing_found
from governance.pins.store import SqlPins
from governance.store import Store, open_store
from sessions.killswitch import Kill, KillSwitch
from sessions.labels.book import Label, Labels, Sources
from sessions.labels.store import SqlLabels
from sessions.roll import Run
from sessions.store import SqlKills, SqlRuns
from tests.approvals.calls import HOLD
from tests.conftest import ManualClock

ADMIN = "admin-token-of-the-tests-0123456789abcdef"


@dataclass
class Core:
    """`console.frame.Core`, with what tests do to it."""

    config: Config
    clock: ManualClock
    store: Store
    audit: Journal
    strangers: Bounded
    key_for: Callable[[str], bytes]
    identity: Identity
    keys: SqlKeys
    desk: Desk
    grants: SqlGrants
    reviews: Reviews
    kills: KillSwitch
    runs: SqlRuns
    labels: Labels

    async def hold(self, exchange: Exchange) -> str:
        """Ask about a call; returns the id of its ticket."""
        return (await self.desk.hold(exchange, HOLD)).ticket

    async def lists(self, *tools: JsonObject) -> None:
        """Let the server `files` list tools."""
        pins = Pins(SqlPins(self.store, self.audit, self.clock), self.clock, Rules({}, nothing_found, Manifest()), str)
        given: dict[str, Json] = {str(tool["name"]): tool for tool in tools}
        await pins.learn("files", Kind.TOOL, given, complete=True)

    async def key(self, role: KeyRole, *, tenant: str = "acme", user: str = "ann") -> str:
        """A new key's token."""
        minted = mint(Grant(role, tenant=tenant, user=user), self.clock.now())
        await self.keys.add(minted.key, actor="test")
        await self.identity.refresh()
        return minted.token

    async def revoke(self, token: str) -> None:
        """Revoke a key by its token."""
        await self.keys.revoke(self.identity.key(token).id, actor="test")
        await self.identity.refresh()

    async def seen(self, session_id: str, *, tenant: str = "acme") -> None:
        """Write a run down."""
        now = self.clock.now().isoformat()
        run = Run(session_id, "key_1", tenant, "builder", "explicit", 1, "x-wicket-session=abc", "mcp", now, now)
        await self.store.write(self.runs.upsert(run))

    async def called(self, session_id: str, *, tenant: str = "acme") -> None:
        """Write a run down together with a call of it, as the pipeline does: lists and filters find it by that."""
        await self.seen(session_id, tenant=tenant)
        fields: dict[str, Value] = {"session_id": session_id, "tenant_id": tenant, "action": "tool.call"}
        await self.audit.append(Draft(Tag.EXCHANGE_ADMITTED, {**fields, "tool": "fetch"}))

    async def label(self, session_id: str, name: str, source: str) -> None:
        """Label a run, with an event that says so."""
        at = self.clock.now().isoformat()
        fields: dict[str, Value] = {"session_id": session_id, "tenant_id": "acme", "action": "tool.call"}
        draft = Draft(Tag.EXCHANGE_ADMITTED, {**fields, "tool": "fetch", "labels_set": [f"{name}: {source}"]})
        await self.audit.append(draft, self.labels.store.add(session_id, [Label(name, source, "exc_1", at)]))


@contextlib.asynccontextmanager
async def open_core(
    url: str, clock: ManualClock, settings: Mapping[str, Any] = MappingProxyType({})
) -> AsyncGenerator[Core]:
    """The organs, open; `settings` are put over the usual ones."""
    config = Config.model_validate(
        {
            **settings,
            "database": url,
            "mcpServers": {"files": McpServer(command="true")},
            "providers": {"openai": Provider(wire="openai-chat", base_url="https://api.openai.test/v1")},
        }
    )
    async with open_store(url) as store:
        audit = Journal(store, bytes(32), clock, writer="test")
        keys = SqlKeys(store, audit, clock)
        identity = Identity(keys, clock, config.identity, ADMIN)
        await identity.refresh()
        desk = Desk(SqlTickets(store, audit), clock, Manners(wait_seconds=0, base_url="http://127.0.0.1"))

        reviews = Reviews(SqlPins(store, audit, clock), clock)

        async def close_tickets(kill: Kill) -> None:
            await desk.invalidate(kill.scope.value, kill.target, by=kill.actor, reason=kill.reason)

        labels = Labels(SqlLabels(store), Sources.of(config))
        kills = KillSwitch(SqlKills(store, audit, clock), audit, clock, on_kill=close_tickets)
        strangers = Bounded(audit, clock)
        key_for = partial(derive, bytes(32))
        yield Core(
            config,
            clock,
            store,
            audit,
            strangers,
            key_for,
            identity,
            keys,
            desk,
            SqlGrants(store, audit),
            reviews,
            kills,
            SqlRuns(store),
            labels,
        )
