"""A gateway on a real socket, with a guard that lets everything through and remembers what it saw.

The guard here is only what the gateway's own tests need to see its side of the contract; the real one is tested in
`tests/pipeline`, and both together in `tests/gateway/test_governed.py`.
"""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NoReturn

import anyio
import uvicorn
from sqlmodel import Session

from gateway.app import open_gateway
from gateway.dialects.dialect import Usage
from gateway.relay import Strand
from governance.audit.event import AuditError, Draft, Receipt
from governance.clock import Clock, SystemClock
from governance.config.models import Config
from governance.exchange import Body, Exchange, Principal, Role, SessionRef, ToolUse
from governance.identity.directory import IdentityStaleError, UnknownKeyError
from governance.stage import Outcome, RefusedError
from governance.store import StoreError
from governance.verdict import Decision, Edit, Verdict
from pipeline.border import AsgiApp
from sessions.correlate import Signs, correlate

KEY = "wk_the_key_of_the_client"
PROVIDER_KEY = "sk-provider-secret-0123456789"
SSN = re.compile(r"\d{3}-\d{2}-\d{4}")
MASK = "[PII:SSN]"


class SsnStrand:
    """Holds back whatever could become an SSN; what is one is masked."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        text = SSN.sub(MASK, self._held + text)
        kept = re.search(r"(?<!\d)\d{1,3}$|\d{3}-\d{0,2}$|\d{3}-\d{2}-\d{0,3}$", text)
        cut = kept.start() if kept else len(text)
        self._held = text[cut:]
        return text[:cut]

    def stuck(self) -> NoReturn:
        raise RefusedError(Verdict(Decision.DENY, by="detect", rule="pii.ssn", reason="in a name"), "")

    def close(self) -> str:
        rest, self._held = SSN.sub(MASK, self._held), ""
        return rest


@dataclass
class OpenPassage:
    exchange: Exchange
    house: "House"
    warnings: list[Verdict] = field(default_factory=list[Verdict])
    settled: bool = False

    def asks(self, uses: Sequence[ToolUse]) -> None:
        self.house.asked += uses

    async def tell(self) -> None:
        self.house.told.append(len(self.house.asked))
        if self.house.before_telling is not None:
            await self.house.before_telling()

    async def respond(self, body: Body) -> Exchange:
        if self.house.refuse_response is not None:
            raise RefusedError(self.house.refuse_response, self.exchange.id)
        return replace(self.exchange, response=masked(body))

    def stream(self, channel: str, role: Role) -> Strand:
        return SsnStrand()

    async def settle(self, outcome: Outcome) -> None:
        if self.settled:
            return
        self.settled = True
        self.house.outcomes.append(outcome)
        self.house.settled.set()
        if self.house.before_settling is not None:
            await self.house.before_settling()


@dataclass
class House:
    """The runtime as the gateway's own tests need it."""

    config: Config
    clock: Clock = field(default_factory=SystemClock)
    exchanges: list[Exchange] = field(default_factory=list[Exchange])
    outcomes: list[Outcome] = field(default_factory=list[Outcome])
    drafts: list[Draft] = field(default_factory=list[Draft])
    asked: list[ToolUse] = field(default_factory=list[ToolUse])
    """The tool calls of all answers."""
    told: list[int] = field(default_factory=list[int])
    """How many there were each time they were written down before the end of an answer."""
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    refuse: Callable[[Exchange], RefusedError | None] = field(default=lambda _: None)
    refuse_response: Verdict | None = None
    warnings: list[Verdict] = field(default_factory=list[Verdict])
    audit_is_down: bool = False
    keys_are_stale: bool = False
    runs_are_unreadable: bool = False
    models: tuple[str, ...] = ("*",)
    url: str = ""
    before_telling: Callable[[], Awaitable[object]] | None = None
    """The same for what an answer asks for."""
    before_settling: Callable[[], Awaitable[object]] | None = None
    """For a test that looks at what has left before the outcome is durable."""

    @property
    def guard(self) -> "House":
        return self

    @property
    def identity(self) -> "House":
        return self

    @property
    def roll(self) -> "House":
        return self

    async def place_model_call(self, signs: Signs, principal: Principal, exchange_id: str) -> SessionRef:
        if self.runs_are_unreadable:
            raise StoreError("the disk is gone")
        return correlate(signs, principal)

    @property
    def strangers(self) -> "House":
        return self

    @property
    def audit(self) -> "House":
        return self

    @property
    def prices(self) -> "House":
        return self

    def cost(self, exchange: Exchange, usage: Usage) -> str:
        return f"0.{usage.input_tokens:03}"

    async def append(self, draft: Draft, within: Callable[[Session], object] | None = None) -> Receipt:
        if self.audit_is_down:
            raise AuditError("down")
        self.drafts.append(draft)
        return Receipt(len(self.drafts), "")

    def principal(self, token: str | None, *, peer: str = "", user: str = "") -> Principal:
        if self.keys_are_stale:
            raise IdentityStaleError("keys cannot be read: try again later")
        if token != KEY:
            raise UnknownKeyError("no valid key")
        return Principal("key_test", models=self.models)

    async def recognise(self, token: str | None, *, peer: str = "", user: str = "") -> Principal:
        return self.principal(token, peer=peer, user=user)

    @contextlib.asynccontextmanager
    async def passage(self, exchange: Exchange) -> AsyncGenerator[OpenPassage]:
        if refusal := self.refuse(exchange):
            raise refusal
        judged = replace(exchange, request=masked(exchange.request))
        self.exchanges.append(judged)
        passage = OpenPassage(judged, self, self.warnings)
        yield passage


def masked(body: Body) -> Body:
    edits = [
        Edit(segment.pointer, found.start(), found.end(), MASK)
        for segment in body.segments
        for found in SSN.finditer(segment.text)
    ]
    return body.edited(edits) if edits else body


def config_for(url: str, **limits: float) -> Config:
    providers = {
        "open": {"wire": "openai-chat", "base_url": url, "api_key": PROVIDER_KEY, "models": ["gpt-*"]},
        "claude": {
            "wire": "anthropic-messages",
            "base_url": url,
            "api_key": PROVIDER_KEY,
            "auth": "x-api-key",
            "models": ["claude-*"],
        },
    }
    return Config.model_validate({"providers": providers, "limits": limits})


class Server(uvicorn.Server):
    """uvicorn without signal handlers, and with an event that says it is up."""

    def __init__(self, app: AsgiApp, ws: Literal["auto", "none"]) -> None:
        config = uvicorn.Config(app, log_config=None, access_log=False, http="httptools", ws=ws, lifespan="off")
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def run_on(self, listening: socket.socket) -> None:
        await self._serve([listening])


@contextlib.asynccontextmanager
async def serving(app: AsgiApp, ws: Literal["auto", "none"] = "auto") -> AsyncGenerator[str]:
    """`app` on a real socket; yields its address."""
    server = Server(app, ws)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.run_on, listening)
            await server.up.wait()
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            server.should_exit = server.force_exit = True


@contextlib.asynccontextmanager
async def running_gateway(house: House) -> AsyncGenerator[House]:
    async with open_gateway(house) as app, serving(app) as url:
        house.url = url
        yield house
