"""Pins at the wire: which answers hold what a server says of itself, and what is left of them.

What is trusted is decided by `governance/pins`; here definitions are taken out of answers as they were received, and
those that are not trusted are left out. A call of something that this process never saw listed makes it ask the
server first, with requests of its own that the client never sees.
"""

import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import anyio

from governance import jsontree
from governance.audit.event import AuditError
from governance.catalog.catalog import Catalog
from governance.jsontree import Json, JsonObject
from governance.pins.pin import Kind
from governance.pins.pins import BY, Pins, PinsError
from governance.stage import RefusedError
from governance.store import StoreError
from governance.verdict import Decision, Verdict
from mcp_proxy.gate import learned
from mcp_proxy.lens import Caller
from mcp_proxy.link import Era, Event, Link, UpstreamError, UpstreamTimeoutError
from mcp_proxy.message import Message, result_of

log = logging.getLogger(__name__)

Came: TypeAlias = Callable[[Event], Awaitable[None]]
"""Takes a request of a server."""

MOST_PAGES = 100
"""Most pages of a listing that the proxy asks for itself."""
LISTING_SECONDS = 30.0
"""Longest that such a listing may take: a call waits for it."""


@dataclass(frozen=True, slots=True)
class _Listing:
    """Where definitions stand in an answer."""

    kind: Kind
    member: str
    name: str


LISTINGS: Mapping[str, _Listing] = {
    "tools/list": _Listing(Kind.TOOL, "tools", "name"),
    "prompts/list": _Listing(Kind.PROMPT, "prompts", "name"),
    "resources/templates/list": _Listing(Kind.TEMPLATE, "resourceTemplates", "uriTemplate"),
}
GREETINGS = frozenset({"initialize", "server/discover"})
"""Requests whose answer may hold `instructions`."""
_USES = {"tools/call": "tools/list", "prompts/get": "prompts/list"}


def is_pinned(method: str) -> bool:
    """Whether the answer to a request holds something that is pinned."""
    return method in LISTINGS or method in GREETINGS


@dataclass(frozen=True)
class Pinning:
    """What the relay asks about answers and calls."""

    pins: Pins
    catalog: Catalog
    patience: float = LISTING_SECONDS
    """Seconds that a listing of ours may take."""
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def sifted(self, server: str, method: str, message: Message) -> Message:
        """The answer without what is not trusted; the very same where nothing is left out.

        Raises:
            RefusedError: it cannot be told what is trusted, so the answer must not leave.
        """
        result = message.value.get("result")
        if not isinstance(result, dict) or not is_pinned(method) or not self.pins.pinned(server):
            return message
        with _refusing():
            if method in GREETINGS:
                kept = await self._instructed(server, result)
            else:
                kept = await self._listed(server, method, result)
        return message if kept is result else Message.build({**message.value, "result": kept})

    async def event(self, server: str, method: str, event: Event) -> Event:
        """The same for an event that brings the answer."""
        if event.message is None:
            return event
        kept = await self.sifted(server, method, event.message)
        return event if kept is event.message else replace(event, message=kept)

    async def wanted(self, message: Message, caller: Caller) -> str:
        """The listing that must be asked for before a message can be judged; empty where all is known.

        Raises:
            RefusedError: it cannot be told what is trusted.
        """
        method = _USES.get(message.method)
        if method is None:
            return ""
        name = jsontree.as_text(message.params.get("name"))
        definition = self.catalog.seen(caller.server, name).definition
        with _refusing():
            wanted = await self.pins.wants_listing(caller.server, LISTINGS[method].kind, name, definition)
        return method if wanted else ""

    # -- answers ----------------------------------------------------------------------------------------------------

    async def _instructed(self, server: str, result: JsonObject) -> JsonObject:
        text = result.get("instructions")
        if not text:
            return result
        hidden = await self.pins.learn(server, Kind.INSTRUCTIONS, {"": text})
        return {name: value for name, value in result.items() if name != "instructions"} if hidden else result

    async def _listed(self, server: str, method: str, result: JsonObject) -> JsonObject:
        listing = LISTINGS[method]
        items = jsontree.as_list(result.get(listing.member))
        given: dict[str, Json] = {}
        twice: set[str] = set()
        for item in items:
            name = _name(item, listing)
            # Of two definitions under one name nobody could say which one a call is about.
            if name in given and jsontree.canonical(given[name]) != jsontree.canonical(item):
                twice.add(name)
            given[name] = item
        if twice:
            log.warning("server %s lists %d names twice with different definitions", server, len(twice))
        given = {name: item for name, item in given.items() if name and name not in twice}
        complete = result.get("nextCursor") is None
        hidden = await self.pins.learn(server, listing.kind, given, complete=complete)
        shown = [item for item in items if (name := _name(item, listing)) in given and name not in hidden]
        # What is no list was not looked at, whatever a lenient client would read in it.
        whole = len(shown) == len(items) and isinstance(result.get(listing.member, []), list)
        return result if whole else {**result, listing.member: shown}

    # -- asking -----------------------------------------------------------------------------------------------------

    async def ask(
        self, method: str, message: Message, link: Link, caller: Caller, headers: Mapping[str, str], came: Came
    ) -> None:
        """List to the end, and learn what is listed.

        Args:
            method: what `wanted` said.
            message: the message that is to be judged; its envelope is ours too.
            link: the upstream session it belongs to.
            caller: who sent it.
            headers: its headers.
            came: takes what the server asks meanwhile: over a pipe it need not be about the listing.

        Raises:
            UpstreamError: the server cannot be reached, or its listing does not end or takes too long.
            RefusedError: it cannot be told what is trusted.
        """
        try:
            with anyio.fail_after(self.patience):
                await self._ask(method, message, link, caller, headers, came)
        except TimeoutError:
            raise UpstreamTimeoutError(
                f"the server did not answer `{method}` in time, so the call was not made"
            ) from None

    async def _ask(
        self, method: str, message: Message, link: Link, caller: Caller, headers: Mapping[str, str], came: Came
    ) -> None:
        sent = {name: text for name, text in headers.items() if not name.startswith(("mcp-name", "mcp-param-"))}
        sent.pop("last-event-id", None)
        if "mcp-method" in sent:
            sent["mcp-method"] = method
        cursor: Json = None
        for _ in range(MOST_PAGES):
            params: JsonObject = {} if cursor is None else {"cursor": cursor}
            if caller.era is Era.MODERN:
                params["_meta"] = {name: value for name, value in message.meta.items() if name != "progressToken"}
            request_id = f"wicket-{method.replace('/', '-')}-{next(self._numbers)}"
            request: JsonObject = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
            listing = Message.build(request)
            answer = await _answered(link, listing, sent, came)
            if answer is None:
                return
            if method == "tools/list":
                await learned(self.catalog, caller.server, listing, answer)
            await self.sifted(caller.server, method, answer)
            cursor = result_of(answer).get("nextCursor")
            if cursor is None:
                return
        raise UpstreamError("the server's listing does not end")


@contextlib.contextmanager
def _refusing() -> Generator[None]:
    """Pins that cannot be read or written refuse."""
    try:
        yield
    except (StoreError, AuditError, PinsError) as error:
        log.error("pins cannot be used, so what depends on them is refused: %s", error)  # noqa: TRY400
        reason = "it cannot be told what is trusted of this server: try again later"
        raise RefusedError(Verdict(Decision.DENY, by=BY, rule="pin.unreadable", reason=reason), "") from None


def _name(item: Json, listing: _Listing) -> str:
    return jsontree.as_text(jsontree.as_object(item).get(listing.name))


async def _answered(link: Link, request: Message, headers: Mapping[str, str], came: Came) -> Message | None:
    """The response to a request of ours. Questions on the way go on, without their place in our stream."""
    reply = await link.send(request, headers)
    try:
        async for event in reply.events:
            message = event.message
            if message is not None and message.is_request:
                await came(Event(message))
            elif message is not None and message.is_response and message.id == request.id:
                return message
    finally:
        await reply.aclose()
    return None
