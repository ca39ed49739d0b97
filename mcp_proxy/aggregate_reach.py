"""How the aggregate reaches one server behind it: opens its session when it is needed first, and asks and tells it.

Every message goes through the relay, under the server's own name: whatever is judged at `/mcp/{server}` is judged here.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

from governance import jsontree
from governance.jsontree import JsonObject
from governance.stage import RefusedError
from mcp_proxy.aggregate_outlets import AskingOutlet, MemberOutlet, QuietOutlet, Talk
from mcp_proxy.aggregate_session import Member
from mcp_proxy.carrier import Carrier
from mcp_proxy.eras import VERSION_HEADER, ParamHeaders, name_of
from mcp_proxy.link import Era, Link, LinkLostError, UpstreamError, UpstreamTimeoutError
from mcp_proxy.message import MalformedMessageError, Message, result_of
from mcp_proxy.sdk import HANDSHAKE_PROTOCOL_VERSIONS, PROTOCOL_VERSION_META_KEY, inbound

log = logging.getLogger(__name__)

LAST_EVENT_ID = "last-event-id"
RESUME_SECONDS = 1.0
"""Pause before a stream is resumed whose server named none."""
ARRIVAL_SECONDS = 5.0
"""How long an answer that came on a resumed stream may take to be passed on."""
_PARAMS = "mcp-param-"

T = TypeVar("T")


class Reach:
    """The way to each server.

    Args:
        relay: judges and carries.
        rules: the headers that repeat arguments.
        patience: seconds that one server may take for its part of an answer that several give together.
    """

    def __init__(self, relay: Carrier, rules: ParamHeaders, patience: float) -> None:
        self._relay = relay
        self._rules = rules
        self._patience = patience

    async def ready(self, talk: Talk, name: str) -> tuple[Member, Link]:
        """A server's part of the session, opened if it is not yet, or not any more.

        Raises:
            UpstreamError, RefusedError: it cannot be opened.
        """
        bundle = talk.bundle
        member = bundle.member(name)
        async with member.lock:
            if member.link is None:
                link = await self._opened(talk, member)
                if bundle.closed.is_set():
                    await link.close()
                    raise LinkLostError("the session has ended: start a new one")
                member.link = link
                if bundle.hear is not None:
                    bundle.hear(member)
            return member, member.link

    async def ask(self, talk: Talk, member: Member, link: Link, method: str, params: JsonObject) -> Message:
        """The answer of a server to a request of ours, judged.

        Raises:
            UpstreamError, RefusedError: there is none.
        """
        value: JsonObject = {"jsonrpc": "2.0", "id": talk.bundle.new_id(), "method": method, "params": params}
        outlet = AskingOutlet(talk, member.server.name)
        error = await self.carry(talk, Message.build(value), member, link, outlet)
        if error is not None:
            raise error
        if outlet.answer is None:
            raise UpstreamError(f"server `{member.server.name}` gave no answer")
        return outlet.answer

    async def tell(self, talk: Talk, member: Member, link: Link, message: Message) -> None:
        """Pass a notification or an answer of the client to a server. One that cannot be reached misses it."""
        outlet = QuietOutlet(talk, member.server.name)
        if error := await self.carry(talk, message, member, link, outlet):
            log.info("server %s did not get `%s`: %s", member.server.name, message.method or "answer", why(error))

    async def carry(
        self, talk: Talk, message: Message, member: Member, link: Link, outlet: MemberOutlet
    ) -> Exception | None:
        """Carry one message to a server and all that answers it into `outlet`. Returns what went wrong.

        Raises:
            MalformedMessageError: nothing of it was carried.
        """
        caller = replace(talk.caller, server=member.server.name)
        headers = self.headers(message, talk, member)
        malformed: MalformedMessageError | None = None
        error: Exception | None = None
        async with anyio.create_task_group() as group:
            if talk.bundle.era is Era.LEGACY:
                outlet.resume = lambda: self._start_resuming(group, talk, member, link, outlet)
            try:
                error = await self._relay.carry(message, link, caller, outlet, member.calls, headers)
            except MalformedMessageError as found:
                malformed = found  # raised outside the group, which would wrap it
            if outlet.is_resuming and error is None:
                with anyio.move_on_after(ARRIVAL_SECONDS):
                    await outlet.answered.wait()
            group.cancel_scope.cancel()
        if malformed is not None:
            raise malformed
        if isinstance(error, LinkLostError) and member.link is link:
            talk.bundle.lose(member)
        return error

    async def listen(self, talk: Talk, member: Member, link: Link, outlet: MemberOutlet) -> None:
        """Put what a server says of its own accord into `outlet`, from where that left off.

        Raises:
            UpstreamError, RefusedError: it cannot be reached, or must not be.
        """
        caller = replace(talk.caller, server=member.server.name)
        headers = {VERSION_HEADER: member.version} if member.version else {}
        if outlet.place:
            headers[LAST_EVENT_ID] = outlet.place
        await self._relay.listen(link, caller, outlet, member.calls, headers)

    async def each(
        self, talk: Talk, names: Iterable[str], work: Callable[[str], Awaitable[T]]
    ) -> dict[str, T | Exception]:
        """What `work` gives for each server, all at once, in the order of `names`; where one fails, its error.

        Raises:
            UpstreamError, RefusedError: not one of them succeeded.
        """
        names = list(names)
        found: dict[str, T | Exception] = {}

        async def one(name: str) -> None:
            try:
                with anyio.fail_after(self._patience):
                    found[name] = await work(name)
            except TimeoutError:
                found[name] = UpstreamTimeoutError(f"server `{name}` did not answer in time")
            except (UpstreamError, RefusedError) as error:
                found[name] = error

        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(one, name)
        errors = {name: error for name in names if isinstance(error := found[name], Exception)}
        for name, error in errors.items():
            what = talk.message.method if talk.message else "the stream"
            log.warning("server %s is missing from the answer to `%s`: %s", name, what, why(error))
        if errors and len(errors) == len(names):
            raise next(iter(errors.values()))
        return {name: found[name] for name in names}

    def headers(self, message: Message, talk: Talk, member: Member) -> Mapping[str, str]:
        """The headers that a server over HTTP expects with a message. The client's own speak of other names."""
        if talk.bundle.era is Era.LEGACY:
            return {VERSION_HEADER: member.version} if member.version else {}
        version = jsontree.as_text(message.meta.get(PROTOCOL_VERSION_META_KEY))
        headers = {
            VERSION_HEADER: inbound.encode_header_value(version),
            inbound.MCP_METHOD_HEADER: inbound.encode_header_value(message.method),
        }
        subject = name_of(message.method)
        if subject:
            headers[inbound.MCP_NAME_HEADER] = inbound.encode_header_value(
                jsontree.as_text(message.params.get(subject))
            )
        if talk.caller.transport != "http":
            return self._rules.rewritten(member.server.name, message, headers)
        if message.method == "tools/call":
            headers |= {name: text for name, text in talk.headers.items() if name.startswith(_PARAMS)}
            self._rules.check(member.server.name, message, headers)
        return headers

    async def _opened(self, talk: Talk, member: Member) -> Link:
        link = await member.server.open(talk.caller.principal, talk.bundle.era)
        try:
            if talk.bundle.greeting is not None:
                await self._introduce(talk, member, link, talk.bundle.greeting)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await link.close()
            raise
        return link

    async def _introduce(self, talk: Talk, member: Member, link: Link, greeting: JsonObject) -> None:
        """Shake hands as the client did with us."""
        name, bundle = member.server.name, talk.bundle
        answer = await self.ask(talk, member, link, "initialize", greeting)
        result = result_of(answer)
        if "error" in answer.value:
            raise UpstreamError(f"server `{name}` refused the handshake")
        if result.get("protocolVersion") not in HANDSHAKE_PROTOCOL_VERSIONS:
            raise UpstreamError(f"server `{name}` answered with a revision that is not known here")
        member.introduction = result
        if bundle.level is not None and member.offers("logging"):
            await self.ask(talk, member, link, "logging/setLevel", bundle.level)
        if bundle.is_ready:
            value: JsonObject = {"jsonrpc": "2.0", "method": "notifications/initialized"}
            await self.tell(talk, member, link, Message.build(value))

    def _start_resuming(self, group: TaskGroup, talk: Talk, member: Member, link: Link, outlet: MemberOutlet) -> None:
        group.start_soon(self._resume, talk, member, link, outlet)

    async def _resume(self, talk: Talk, member: Member, link: Link, outlet: MemberOutlet) -> None:
        """Fetch an answer whose server ended the stream before it (2025-11-25, "Sending Messages to the Server")."""
        try:
            while not outlet.answered.is_set():
                await anyio.sleep(outlet.pause or RESUME_SECONDS)
                await self.listen(talk, member, link, outlet)
                if outlet.status != 200:
                    return
        except (UpstreamError, RefusedError) as error:
            log.info("server %s: a stream was not resumed: %s", member.server.name, why(error))


def why(error: Exception) -> str:
    """What went wrong, in words of ours."""
    return error.verdict.reason or "it was refused" if isinstance(error, RefusedError) else str(error)
