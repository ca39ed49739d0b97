"""A whole runtime on a real database, and exchanges to send through it."""

import contextlib
import itertools
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

from sqlmodel import Session, col, func, select, update

from governance.clock import Clock
from governance.config.models import Config
from governance.config.secrets import Secrets
from governance.exchange import Action, Body, Exchange, Principal, Resource, SessionRef
from governance.identity.keys import Grant, mint
from governance.jsontree import Json, JsonObject
from governance.store.tables import EventRow, TicketRow
from pipeline.runtime import Runtime, open_runtime

SECRETS = Secrets(bytes(range(32)), "admin-token-of-these-tests-0123456789")
OPEN_POLICY: JsonObject = {"version": 1, "default": "allow", "rules": []}


@dataclass
class World:
    """A runtime with one agent's key, and what tests ask of it."""

    runtime: Runtime
    principal: Principal
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def call(self, tool: str = "echo", session: str = "ses_1", **arguments: Json) -> Exchange:
        """A tool call of the agent."""
        number = next(self.numbers)
        value: Json = {
            "jsonrpc": "2.0",
            "id": number,
            "method": "tools/call",
            "params": {"name": tool, "arguments": arguments},
        }
        return Exchange(
            id=f"exc_{number}",
            at=self.runtime.clock.now(),
            action=Action.TOOL_CALL,
            principal=self.principal,
            resource=Resource(server="files", name=tool),
            session=SessionRef(session, "explicit", 1, f"x-wicket-session={session}"),
            request=Body(value),
            facts={"plane": "mcp"},
        )

    async def events(self, *types: str) -> list[dict[str, Json]]:
        """The audit events of these types (none given: all about exchanges, approvals and kills), in order."""

        def work(session: Session) -> list[str]:
            return [row.body for row in session.exec(select(EventRow).order_by(col(EventRow.seq))).all()]

        found = [json.loads(body) for body in await self.runtime.store.read(work)]
        skipped = ("process.started", "process.stopped", "policy.loaded", "key.created")
        return [one for one in found if (one["event_type"] in types if types else one["event_type"] not in skipped)]

    async def forge(self, ticket: str, old: str, new: str) -> None:
        """Change the changed form of a ticket where it is kept, behind the desk's back."""
        after = func.replace(col(TicketRow.edited_form), old, new)
        change = update(TicketRow).where(col(TicketRow.id) == ticket).values(edited_form=after)
        await self.runtime.store.write(lambda session: session.exec(change).rowcount)

    async def types(self) -> list[str]:
        """The types of those events."""
        return [str(one["event_type"]) for one in await self.events()]


@contextlib.asynccontextmanager
async def open_world(
    database_url: str, folder: Path, clock: Clock, policy: JsonObject = OPEN_POLICY, **settings: Json
) -> AsyncGenerator[World]:
    """Open a world with a policy and settings of the configuration."""
    file = folder / "policy.yaml"
    file.write_text(json.dumps(policy))
    base: dict[str, Json] = {"database": database_url, "policies": [str(file)], "state": str(folder)}
    # Exchanges of these tests come out of nowhere; what is listed first, and pinned, has tests of its own.
    base["mcpServers"] = {"files": {"url": "http://127.0.0.1/", "pins": "off"}}
    # The fallback engine finds the same (a parity test says so) and needs no second to compile.
    config = Config.model_validate(base | {"detect": {"engine": "re"}} | settings)
    async with open_runtime(config, SECRETS, clock=clock, process="test", console="http://console") as runtime:
        minted = mint(Grant(name="agent"), clock.now())
        await runtime.keys.add(minted.key, actor="test")
        await runtime.identity.refresh()
        yield World(runtime, runtime.identity.principal(minted.token))
