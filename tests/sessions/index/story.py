"""A small story in the log, told the way the proxies tell theirs, for the tests of the index."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from governance.audit.event import Draft, Tag, Value
from governance.audit.log import Journal
from governance.clock import rfc3339
from governance.store import Store, open_store
from sessions.index.follow import Follower
from sessions.index.store import SqlIndex
from sessions.roll import Run
from sessions.store import SqlRuns
from tests.conftest import ManualClock


@dataclass
class Scene:
    """An open log and its index."""

    store: Store
    audit: Journal
    clock: ManualClock
    runs: SqlRuns
    index: SqlIndex
    follower: Follower

    async def run(self, name: str, *, agent: str = "claude", tenant: str = "acme", parent: str = "") -> None:
        """Note a run, as the roll does."""
        now = rfc3339(self.clock.now())
        run = Run(
            name,
            "key_1",
            tenant,
            agent,
            "explicit",
            1,
            f"x-wicket-session=of-{name}",
            "mcp",
            now,
            now,
            parent_id=parent,
        )
        await self.store.write(self.runs.upsert(run))

    async def call(self, session: str, *, tool: str = "", decision: str = "allow", **more: Value) -> None:
        """One call, judged and, where it went on, ended. Without a tool it is a model call."""
        fields: dict[str, Value] = {
            "exchange_id": f"exc_{self.clock.elapsed}", "session_id": session, "tenant_id": "acme", "key_id": "key_1",
            "agent": "claude", "action": "tool.call" if tool else "llm.generate", "policy_decision": decision,
        }  # fmt: skip
        fields |= {"tool": tool, "server": "web"} if tool else {"model": "opus", "provider": "anthropic"}
        fields |= more
        refused = decision in ("deny", "kill")
        await self.event(Tag.EXCHANGE_REFUSED if refused else Tag.EXCHANGE_ADMITTED, fields)
        if not refused:
            await self.event(Tag.EXCHANGE_COMPLETED, {**fields, "status": "ok", "duration_ms": 12})

    async def event(self, tag: Tag, fields: dict[str, Value]) -> None:
        """Anything else; a second passes."""
        await self.audit.append(Draft(tag, fields))
        self.clock.advance(1)


@asynccontextmanager
async def scene(url: str, clock: ManualClock) -> AsyncGenerator[Scene]:
    """A log on a database, empty at first."""
    async with open_store(url) as store:
        index = SqlIndex(store)
        audit = Journal(store, bytes(32), clock)
        yield Scene(store, audit, clock, SqlRuns(store), index, Follower(index, clock))
