"""The agent-facing side of Streamable HTTP, for every revision: one address, both eras.

It turns HTTP requests into calls of the relay, and keeps the sessions of legacy clients. What is governed is decided
by `mcp_proxy/relay.py`; how an answer looks on the wire by `streamable_http_outlet.py`.
"""

import contextlib
from collections.abc import AsyncGenerator, Generator, Mapping
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from governance import jsontree
from governance.clock import Clock
from governance.config.models import Limits
from governance.exchange import Principal
from governance.stage import RefusedError
from mcp_proxy import errors
from mcp_proxy.calls import Calls
from mcp_proxy.carrier import Carrier
from mcp_proxy.eras import VERSION_HEADER, ParamHeaders, check_legacy, check_modern, era_of
from mcp_proxy.lens import Caller
from mcp_proxy.link import Era, Event, Link, LinkLostError, Server, UpstreamError
from mcp_proxy.message import Message
from mcp_proxy.transports.streamable_http_outlet import HttpOutlet
from mcp_proxy.transports.streamable_http_sessions import Session, Sessions
from pipeline.border import AsgiScope, BadRequestError, Receive, Send, read_body
from pipeline.reading import read_apart

SESSION = "mcp-session-id"
_BEAT_SECONDS = 0.25
_EXPIRE_EVERY_BEATS = 40
_JSON = "application/json"
_STREAM = "text/event-stream"
_BOTH = "application/json, text/event-stream"


@dataclass(frozen=True, slots=True)
class Incoming:
    """One HTTP request whose sender is known."""

    scope: AsgiScope
    receive: Receive
    send: Send
    principal: Principal
    server: Server
    headers: Mapping[str, str]
    """Lower-case names, values without space around them; of repeated ones the last."""
    lines: tuple[tuple[str, str], ...]
    """Every header line."""


class HttpFront:
    """Answers Streamable HTTP requests for every configured server."""

    def __init__(self, relay: Carrier, clock: Clock, limits: Limits, rules: ParamHeaders, sessions: Sessions) -> None:
        self._relay = relay
        self._clock = clock
        self._limits = limits
        self._rules = rules
        self._sessions = sessions
        self._open: set[HttpOutlet] = set()
        self._group: TaskGroup | None = None
        """Runs while the front does."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Watch open requests and sessions while the block is open; ends every session afterwards."""
        async with anyio.create_task_group() as group:
            self._group = group
            group.start_soon(self._beat, group)
            try:
                yield
            finally:
                group.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    await self._sessions.aclose()

    async def serve(self, incoming: Incoming) -> None:
        """Answer one HTTP request.

        Raises:
            BadRequestError, MalformedMessageError: it is refused unread; nothing was answered yet.
        """
        verb = incoming.scope["method"]
        era = era_of(incoming.headers.get(VERSION_HEADER))
        if verb == "POST":
            _check_accept(incoming.headers, _JSON, _STREAM)
            body = await read_body(incoming.scope, incoming.receive, limit=self._limits.body_bytes)
            message = await read_apart(Message.parse, body)
            if era is Era.MODERN:
                await self._modern(incoming, message)
            else:
                check_legacy(message, incoming.lines)
                await self._legacy(incoming, message)
        elif era is Era.MODERN or verb not in ("GET", "DELETE"):
            raise BadRequestError(405, "method", "this revision knows only POST here")
        elif verb == "GET":
            _check_accept(incoming.headers, _STREAM)
            await self._listen(incoming)
        else:
            await self._delete(incoming)

    async def _modern(self, incoming: Incoming, message: Message) -> None:
        check_modern(message, incoming.headers, incoming.lines)
        self._rules.check(incoming.server.name, message, incoming.headers)
        await self._once(incoming, message, Era.MODERN)

    async def _once(self, incoming: Incoming, message: Message, era: Era) -> None:
        """Answer a message that belongs to no session."""
        caller = _caller(incoming, era)
        async with self._answering(incoming, era, message) as outlet:
            link = await incoming.server.open(incoming.principal, era)
            try:
                with outlet.scope or contextlib.nullcontext():
                    await self._relay.carry(message, link, caller, outlet, Calls(), incoming.headers)
            finally:
                await link.close()  # what a client that left cancels ends with its scope, so this is not cut short

    async def _legacy(self, incoming: Incoming, message: Message) -> None:
        if message.method == "initialize":
            await self._initialize(incoming, message)
            return
        session = self._session(incoming)
        if session is None:
            await self._once(incoming, message, Era.LEGACY)
            return
        caller = _caller(incoming, Era.LEGACY, session)
        with self._using(session):
            async with self._answering(incoming, Era.LEGACY, message) as outlet:
                error = await self._relay.carry(message, session.link, caller, outlet, session.calls, incoming.headers)
        if isinstance(error, LinkLostError):
            await self._sessions.close(session)

    async def _initialize(self, incoming: Incoming, message: Message) -> None:
        self._sessions.check_room(incoming.principal)
        async with self._answering(incoming, Era.LEGACY, message) as outlet:
            link = await incoming.server.open(incoming.principal, Era.LEGACY)
            info = jsontree.as_object(message.params.get("clientInfo"))
            client = jsontree.as_text(info.get("name"))[:200]
            principal = incoming.principal
            declared = message.params.get("capabilities")
            spawn = self._group.start_soon if self._group is not None else None
            calls = Calls(spawn, self._sessions.kept.shelf(principal.key_id))
            session = Session(
                incoming.server.name,
                principal.key_id,
                link,
                client,
                principal.user,
                principal.rights,
                declared,
                calls=calls,
            )
            outlet.opening = lambda first: self._admit(session, first)
            caller = _caller(incoming, Era.LEGACY, session)
            try:
                await self._relay.carry(message, link, caller, outlet, session.calls, incoming.headers)
            finally:
                if outlet.final is None or "result" not in outlet.final.value or not link.stateful:
                    with anyio.CancelScope(shield=True):
                        await self._sessions.close(session)

    def _admit(self, session: Session, first: Event) -> str:
        """The session id to send with the first event; none if the server keeps no session, or refused."""
        if not session.link.stateful or (first.message is not None and "error" in first.message.value):
            return ""
        self._sessions.admit(session)
        return session.id

    async def _listen(self, incoming: Incoming) -> None:
        session = self._session(incoming)
        if session is None:
            async with self._answering(incoming, Era.LEGACY, None) as outlet:
                link = await incoming.server.open(incoming.principal, Era.LEGACY)
                try:
                    await self._attend(incoming, link, _caller(incoming, Era.LEGACY), outlet, Calls())
                finally:
                    await link.close()
            return
        caller = _caller(incoming, Era.LEGACY, session)
        with self._using(session):
            async with self._answering(incoming, Era.LEGACY, None) as outlet:
                try:
                    await self._attend(incoming, session.link, caller, outlet, session.calls)
                except LinkLostError:
                    await self._sessions.close(session)
                    raise

    async def _attend(self, incoming: Incoming, link: Link, caller: Caller, outlet: HttpOutlet, calls: Calls) -> None:
        """Relay the server's own stream until somebody ends it."""
        try:
            with outlet.scope or contextlib.nullcontext():
                await self._relay.listen(link, caller, outlet, calls, incoming.headers)
        except RefusedError as error:
            if not outlet.started:
                raise BadRequestError(403, "refused", error.verdict.reason) from None

    async def _delete(self, incoming: Incoming) -> None:
        session = self._session(incoming)
        if session is None:
            raise BadRequestError(405, "method", "there is no session to end: this server keeps none")
        await self._sessions.close(session)
        async with self._answering(incoming, Era.LEGACY, None) as outlet:
            outlet.status = 200

    def _session(self, incoming: Incoming) -> Session | None:
        """The session of a request; none where the server keeps no sessions.

        Raises:
            BadRequestError: it names an unknown one, or none although one is needed.
        """
        session_id = incoming.headers.get(SESSION)
        if session_id is not None:
            return self._sessions.find(session_id, incoming.principal, incoming.server.name)
        if incoming.server.transport != "http":
            raise BadRequestError(400, "session", "send `Mcp-Session-Id` as `initialize` answered it")
        return None  # whether this server keeps sessions is its own to say

    @contextlib.contextmanager
    def _using(self, session: Session) -> Generator[None]:
        session.busy += 1
        try:
            yield
        finally:
            session.busy -= 1
            session.used_at = self._clock.monotonic()

    @contextlib.asynccontextmanager
    async def _answering(self, incoming: Incoming, era: Era, message: Message | None) -> AsyncGenerator[HttpOutlet]:
        """The outlet of one HTTP response, ended with the block. A server that cannot be reached is told here."""
        outlet = HttpOutlet(incoming.receive, incoming.send, self._clock, era=era, request=message)
        self._open.add(outlet)
        try:
            try:
                yield outlet
            except UpstreamError as error:
                if message is None and not outlet.started:
                    raise BadRequestError(error.status, "upstream", str(error)) from None
                if message is not None:
                    told = errors.answer(error, message, era)
                    await outlet.begin(told.status, {})
                    if message.is_request:
                        await outlet.put(Event(told.message))
            await outlet.finish()
        finally:
            outlet.finished = True
            self._open.discard(outlet)

    async def _beat(self, group: TaskGroup) -> None:
        """Keep silent connections open, watch long requests for clients that leave, end idle sessions."""
        beats = 0
        while True:
            await anyio.sleep(_BEAT_SECONDS)
            beats += 1
            now = self._clock.monotonic()
            for outlet in list(self._open):
                if outlet.needs_watching(now):
                    outlet.watched = True
                    group.start_soon(outlet.watch)
                if outlet.is_silent(now):
                    group.start_soon(outlet.keep_alive)
            if beats % _EXPIRE_EVERY_BEATS == 0:
                group.start_soon(self._sessions.expire)


def _caller(incoming: Incoming, era: Era, session: Session | None = None) -> Caller:
    return Caller(
        principal=incoming.principal,
        server=incoming.server.name,
        era=era,
        transport="http",
        session=session.id if session is not None else "",
        client=session.client if session is not None else "",
        headers=incoming.headers,
        capabilities=session.capabilities if session is not None else None,
    )


def _check_accept(headers: Mapping[str, str], *kinds: str) -> None:
    """Refuse a client that could not read the answer; one that says nothing takes anything.

    Raises:
        BadRequestError: status 406.
    """
    accepted = headers.get("accept")
    if accepted is None or accepted == _BOTH:
        return
    ranges = {part.partition(";")[0].strip().lower() for part in accepted.split(",")}
    for kind in kinds:
        if not ranges & {kind, kind.partition("/")[0] + "/*", "*/*"}:
            raise BadRequestError(406, "accept", f"`Accept` must list `{'` and `'.join(kinds)}`")
