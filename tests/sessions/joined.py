"""Two processes over one database: the roll of the gateway, and that of the MCP proxy."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from governance import jsontree
from governance.exchange import Action, Body, Exchange, Principal, Resource, SessionRef, ToolUse, new_id
from governance.jsontree import Json
from governance.store import Store, open_store
from sessions.correlate import Called, Signs, call_ids
from sessions.proposals import Proposals
from sessions.roll import Roll
from sessions.store import SqlProposals, SqlRuns
from tests.conftest import ManualClock

KEY = Principal("key_1", tenant="acme", agent="builder")
TOOLS: list[Json] = [{"type": "function", "function": {"name": "any"}}]
LISTED = {"gw": {"ping", "search", "web_search", "get.info"}, "backup": {"ping"}}


@dataclass
class Joined:
    """Both sides."""

    store: Store
    clock: ManualClock
    llm: Roll
    mcp: Roll
    proposals: Proposals
    runs: SqlRuns

    def again(self) -> Roll:
        """The MCP proxy after a restart."""
        return Roll(self.runs, self.clock, proposals_of(self.store, self.clock))

    async def model(
        self,
        *uses: ToolUse,
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, Json] | None = None,
        key: Principal = KEY,
    ) -> SessionRef:
        """A model call whose answer asks for tools; returns the run that it belongs to."""
        exchange_id = new_id(self.clock.now())
        signs = Signs(headers=headers or {}, body={"tools": TOOLS, **(body or {})})
        session = await self.llm.place_model_call(signs, key, exchange_id)
        exchange = Exchange(
            exchange_id, self.clock.now(), Action.LLM_GENERATE, key, Resource(model="m"), session, Body({}),
            facts={"plane": "llm"},
        )  # fmt: skip
        if work := self.llm.sign(exchange):
            await self.store.write(work)
        if uses:
            await self.llm.tell(exchange, uses)
        return session

    async def call(
        self,
        tool: str,
        arguments: Json,
        *,
        transport: str = "",
        meta: Mapping[str, Json] | None = None,
        headers: Mapping[str, str] | None = None,
        server: str = "gw",
        key: Principal = KEY,
    ) -> SessionRef:
        """A tool call as the MCP proxy places it, written down as it would."""
        said = meta or {}
        called = Called(server, tool, arguments, call_ids(said))
        return await self._placed(Signs(headers or {}, meta=said, transport=transport, call=called), key)

    async def listing(self, transport: str, meta: Mapping[str, Json] | None = None) -> SessionRef:
        """A `tools/list`: a message that no model asks for."""
        return await self._placed(Signs(meta=meta or {}, transport=transport), KEY)

    async def _placed(self, signs: Signs, key: Principal) -> SessionRef:
        session = await self.mcp.place(signs, key)
        exchange = Exchange(
            new_id(self.clock.now()), self.clock.now(), Action.TOOL_CALL, key, Resource(), session, Body({}),
            facts={"plane": "mcp"},
        )  # fmt: skip
        if work := self.mcp.sign(exchange):
            await self.store.write(work)
        return session


def use(name: str, arguments: Json, call_id: str = "") -> ToolUse:
    """What a model asks for."""
    return ToolUse(call_id, name, jsontree.digest(arguments))


def proposals_of(store: Store, clock: ManualClock) -> Proposals:
    """What one process knows of what models asked for."""
    return Proposals(SqlProposals(store), clock, tuple(LISTED), lambda server, tool: tool in LISTED.get(server, set()))


@asynccontextmanager
async def joined(url: str, clock: ManualClock) -> AsyncGenerator[Joined]:
    """Both processes, each with a memory of its own."""
    async with open_store(url) as store:
        runs, seen = SqlRuns(store), proposals_of(store, clock)
        yield Joined(store, clock, Roll(runs, clock, proposals_of(store, clock)), Roll(runs, clock, seen), seen, runs)
