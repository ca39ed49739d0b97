"""The aggregate: one client message becomes messages for real servers, and their answers become one.

It stands before the relay, which carries and judges each of those messages under the names that the server itself
gave: what is made up here is seen by nobody but the client. How names are made is in `aggregate.py`.
"""

from collections.abc import Awaitable, Callable, Mapping

from governance import jsontree
from governance.jsontree import Json, JsonObject
from governance.stage import RefusedError
from mcp_proxy import errors
from mcp_proxy.aggregate_cursor import Cursors
from mcp_proxy.aggregate_greeting import Greeting
from mcp_proxy.aggregate_lists import KINDS, METHOD_NOT_FOUND, PROMPTS, TOOLS, Lists, NotHereError, Offers
from mcp_proxy.aggregate_outlets import MemberOutlet, Talk, accept
from mcp_proxy.aggregate_reach import Reach
from mcp_proxy.aggregate_session import CANCELLED, PROGRESS, Aggregate, Bundle
from mcp_proxy.aggregate_streams import Streams
from mcp_proxy.aggregate_tasks import LIST, Tasks
from mcp_proxy.calls import Calls
from mcp_proxy.carrier import Carrier
from mcp_proxy.eras import ParamHeaders
from mcp_proxy.lens import ACTIONS, Caller
from mcp_proxy.link import NO_HEADERS, Era, Event, Link, Outlet, UpstreamError
from mcp_proxy.message import Message, result_of
from mcp_proxy.tasks.ids import ABOUT
from mcp_proxy.tasks.task import METHODS
from pipeline.border import BadRequestError, Record

PATH = "/mcp"
INITIALIZED = "notifications/initialized"

Handler = Callable[[Talk, Message], Awaitable[JsonObject]]


class AggregateRelay:
    """Carries messages between a client and all servers that it may reach.

    Args:
        relay: judges and carries what goes to one server.
        aggregate: the servers.
        rules: the headers that repeat arguments.
        catalog: what servers have listed before.
        cursors: seals cursors.
        record: writes into the audit log what was asked for and is not there: `(path, problem)`.
        patience: seconds that one server may take for its part of a joint answer.
    """

    def __init__(
        self,
        relay: Carrier,
        aggregate: Aggregate,
        rules: ParamHeaders,
        catalog: Offers,
        cursors: Cursors,
        record: Record,
        patience: float,
    ) -> None:
        self._record = record
        self._aggregate = aggregate
        self._reach = Reach(relay, rules, patience)
        self._lists = Lists(self._reach, cursors, catalog)
        self._streams = Streams(self._reach, self._lists, patience)
        self._tasks = Tasks(self._reach, cursors)
        greeting = Greeting(self._reach)
        self._joint: dict[str, Handler] = {
            "initialize": greeting.initialize,
            "server/discover": greeting.discover,
            "subscriptions/listen": self._streams.subscribe,
            "logging/setLevel": self._set_level,
            **dict.fromkeys(KINDS, self._lists.page),
            LIST: self._tasks.page,
        }

    async def carry(
        self,
        message: Message,
        link: Link,
        caller: Caller,
        outlet: Outlet,
        calls: Calls,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Exception | None:
        """Deliver one client message and put everything that answers it into `outlet`; see `Relay.carry`.

        One lost session with a server is not the client's: it is opened again at the next need, and None is returned.

        Raises:
            MalformedMessageError: nothing of it was carried.
        """
        talk = self._talk(message, link, caller, outlet, calls, headers)
        async with calls.opened(message, outlet, governed=False):
            try:
                if message.is_request:
                    await self._request(talk, message)
                else:
                    await self._pass(talk, message)
                    await accept(talk)
            except NotHereError as error:
                if message.method in ACTIONS:  # what would have been judged if it were there is on record too
                    await self._record(PATH, BadRequestError(404, "name", str(error)))
                value: JsonObject = {"code": error.code, "message": str(error)}
                await self._answer(talk, Message.build({"jsonrpc": "2.0", "id": message.id, "error": value}))
            except (RefusedError, UpstreamError) as error:
                told = errors.answer(error, message, caller.era)
                await self._answer(talk, told.message, told.status)
        await talk.bundle.clear_away()  # now, because the client that has its answer may use its id again
        return None

    async def listen(
        self, link: Link, caller: Caller, outlet: Outlet, calls: Calls, headers: Mapping[str, str] = NO_HEADERS
    ) -> None:
        """Put what the servers send of their own accord into `outlet`; see `Relay.listen`.

        Raises:
            RefusedError: the run was killed.
        """
        await self._streams.listen(self._talk(None, link, caller, outlet, calls, headers))

    def _talk(
        self,
        message: Message | None,
        link: Link,
        caller: Caller,
        outlet: Outlet,
        calls: Calls,
        headers: Mapping[str, str],
    ) -> Talk:
        if not isinstance(link, Bundle):
            raise TypeError("a link that the aggregate did not open")
        link.spawn = calls.questions.spawn
        return Talk(message, link, caller, outlet, headers, self._aggregate.visible(caller.principal))

    # -- requests -----------------------------------------------------------------------------------------------------

    async def _request(self, talk: Talk, message: Message) -> None:
        method, params = message.method, message.params
        about = METHODS if talk.bundle.era is Era.MODERN else ABOUT
        if method == LIST and talk.bundle.era is Era.MODERN:
            raise NotHereError("this `method` is not part of this revision", METHOD_NOT_FOUND)
        if method in self._joint or method == "ping":  # the client asks about the one whom it speaks with
            result = await self._joint[method](talk, message) if method in self._joint else {}
            await self._answer(talk, Message.build({"jsonrpc": "2.0", "id": message.id, "result": result}))
        elif method in ("tools/call", "prompts/get"):
            kind = TOOLS if method == "tools/call" else PROMPTS
            server, name = await self._lists.named(talk, kind, jsontree.as_text(params.get("name")))
            await self._route(talk, message, server, name=name)
        elif method in ("resources/read", "resources/subscribe", "resources/unsubscribe"):
            await self._route(talk, message, await self._lists.home(talk, jsontree.as_text(params.get("uri"))))
        elif method == "completion/complete":
            await self._complete(talk, message, jsontree.as_object(params.get("ref")))
        elif method in about:
            await self._tasks.route(talk, message)
        elif method.startswith("tasks/") or len(talk.servers) != 1:
            raise NotHereError("this `method` cannot be told to one of several servers", METHOD_NOT_FOUND)
        else:
            await self._route(talk, message, talk.servers[0])

    async def _complete(self, talk: Talk, message: Message, ref: JsonObject) -> None:
        if isinstance(uri := ref.get("uri"), str):
            await self._route(talk, message, await self._lists.home(talk, uri))
            return
        server, name = await self._lists.named(talk, PROMPTS, jsontree.as_text(ref.get("name")))
        await self._route(talk, message, server, ref={**ref, "name": name})

    async def _route(self, talk: Talk, message: Message, server: str, **changes: Json) -> None:
        """Carry a request to its server, and everything that answers it back."""
        member, link = await self._reach.ready(talk, server)
        if talk.bundle.era is Era.LEGACY:
            self._tasks.check(message, member)
        params = {**message.params, **changes}
        sent = message if params == message.params else Message.build({**message.value, "params": params})
        sent = talk.bundle.restored(sent, server)
        talk.bundle.depart(message, server)
        try:
            await self._reach.carry(talk, sent, member, link, LinkingOutlet(talk, server, self._tasks))
        finally:
            talk.bundle.arrived(message)

    async def _set_level(self, talk: Talk, message: Message) -> JsonObject:
        """Tell every server that logs; those that are opened later are told then."""
        talk.bundle.level = message.params
        names = [one.server.name for one in talk.bundle.opened if one.offers("logging")]

        async def one(name: str) -> None:
            member, link = await self._reach.ready(talk, name)
            await self._reach.ask(talk, member, link, message.method, message.params)

        await self._reach.each(talk, [name for name in names if name in talk.servers], one)
        return {}

    async def _answer(self, talk: Talk, message: Message, status: int = 200) -> None:
        shown = 200 if status == errors.LOST and talk.bundle.era is Era.LEGACY else status
        await talk.outlet.begin(shown, NO_HEADERS)
        if message.id is not None:
            await talk.put(Event(message))

    # -- notifications and answers ------------------------------------------------------------------------------------

    async def _pass(self, talk: Talk, message: Message) -> None:
        """Pass on what wants no answer, to the server that it concerns, or to all that are open."""
        bundle = talk.bundle
        if message.is_response or message.method == PROGRESS:
            found = bundle.answered(message) if message.is_response else bundle.progressed(message)
            if found is not None:
                await self._tell(talk, *found)
        elif message.method == CANCELLED:
            request_id = message.params.get("requestId")
            server = bundle.routes.get(request_id) if isinstance(request_id, str | int) else None
            if server is not None:
                await self._tell(talk, server, message)
        else:
            bundle.is_ready |= message.method == INITIALIZED
            for member in bundle.opened:
                await self._tell(talk, member.server.name, message)

    async def _tell(self, talk: Talk, server: str, message: Message) -> None:
        member = talk.bundle.member(server)
        if member.link is not None and server in talk.servers:
            await self._reach.tell(talk, member, member.link, message)


class LinkingOutlet(MemberOutlet):
    """Takes the answer to a routed request, and learns whose the resources are that it links to."""

    def __init__(self, talk: Talk, server: str, tasks: Tasks) -> None:
        super().__init__(talk, server)
        self._tasks = tasks

    async def respond(self, message: Message) -> None:
        """The answer, judged."""
        for item in jsontree.as_list(result_of(message).get("content")):
            block = jsontree.as_object(item)
            if block.get("type") == "resource_link" and isinstance(uri := block.get("uri"), str):
                self.talk.bundle.book.learn_link(self.server, uri)
        await super().respond(self._tasks.to_client(self.talk, self.server, message))
