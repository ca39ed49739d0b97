"""One client's session with the aggregate: a session with each server behind it, and whose ids are whose.

Requests of servers get ids of ours on their way to the client, because two servers may use equal ones; answers find
their way back by them. What is sent when is decided in `aggregate_relay.py`.
"""

import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count

import anyio

from governance import jsontree
from governance.exchange import Principal, SessionRef
from governance.jsontree import Json, JsonObject
from governance.policy.glob import Globs
from mcp_proxy.aggregate_book import Book, Shelf
from mcp_proxy.aggregate_task_ids import TaskIds
from mcp_proxy.calls import Calls
from mcp_proxy.link import NO_HEADERS, Condition, Era, Link, Reply, Server, UpstreamError
from mcp_proxy.message import Message, RequestId
from mcp_proxy.missed import Kept
from mcp_proxy.server_requests import Spawn
from mcp_proxy.tasks.ids import related, renamed

log = logging.getLogger(__name__)

MOST_QUESTIONS = 1_000
"""Requests of servers that may wait for the client; the oldest is forgotten first."""
PROGRESS = "notifications/progress"
CANCELLED = "notifications/cancelled"

Owner = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Question:
    """A request of a server, under its own id."""

    server: str
    id: RequestId
    token: Json
    """Its progress token, which the client knows by our id."""


@dataclass(eq=False)
class Member:
    """One server's part of a client session."""

    server: Server
    calls: Calls
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    link: Link | None = None
    introduction: JsonObject = field(default_factory=dict[str, Json])
    """Its result of `initialize`; empty in the modern era."""

    @property
    def version(self) -> str:
        """The legacy revision it speaks with us."""
        return jsontree.as_text(self.introduction.get("protocolVersion"))

    def offers(self, capability: str) -> bool:
        """Whether it said that it can do this; in the modern era, where nobody asked, it may."""
        return not self.introduction or capability in jsontree.as_object(self.introduction.get("capabilities"))


class Bundle:
    """The sessions with all servers that one client session (legacy) or one request (modern) needs.

    It is a link as far as fronts are concerned: they open and close it. Messages go through its members' links.
    """

    def __init__(
        self, servers: Mapping[str, Server], era: Era, owner: Owner, book: Book, kept: Kept, tasks: TaskIds
    ) -> None:
        self.tasks = tasks
        self.era = era
        self.owner = owner
        self.book = book
        self.stateful = era is Era.LEGACY
        self.greeting: JsonObject | None = None
        """The client's parameters of `initialize`, for servers that are opened later."""
        self.is_ready = False
        """Whether the client said `notifications/initialized`."""
        self.level: JsonObject | None = None
        """The client's parameters of `logging/setLevel`."""
        self.hear: Callable[[Member], object] | None = None
        """Starts to pass on what a server says of its own accord, while the client listens."""
        self.spawn: Spawn | None = None
        """Runs questions of servers in the background for as long as the client is connected."""
        self.closed = anyio.Event()
        self.routes: dict[RequestId, str] = {}
        """The server of each open request of the client."""
        self._servers = servers
        self._kept = kept
        self._members: dict[str, Member] = {}
        self._tokens: dict[RequestId, str] = {}
        self._questions: OrderedDict[int, Question] = OrderedDict()
        self._numbers = count(1)
        self._prefix = secrets.token_hex(4)
        self._run: SessionRef | None = None
        self._lost: list[Link] = []

    def member(self, name: str) -> Member:
        """The part of a server, opened or not."""
        member = self._members.get(name)
        if member is None:
            member = self._members[name] = Member(
                self._servers[name], Calls(self.spawn, self._kept.shelf(self.owner[0]))
            )
            member.calls.run = self._run
            member.calls.followers.add(self._belongs_to)
        return member

    @property
    def opened(self) -> Iterable[Member]:
        """The parts that have a link."""
        return [member for member in self._members.values() if member.link is not None]

    def new_id(self) -> str:
        """An id for a request of ours, which no client uses."""
        return f"wicket-{self._prefix}-{next(self._numbers)}"

    def lose(self, member: Member) -> None:
        """A server ended its session; the next need opens another. What is left of it is for `clear_away`."""
        if member.link is not None:
            self._lost.append(member.link)
        member.link, member.introduction = None, {}
        self.forget_questions(member.server.name)

    async def clear_away(self) -> None:
        """Close what was lost."""
        while self._lost:
            await self._lost.pop().close()

    async def close(self) -> None:
        """End the session with every server."""
        self.closed.set()
        await self.clear_away()
        for member in self.opened:
            member.calls.close()
        async with anyio.create_task_group() as group:
            for member in self.opened:
                if member.link is not None:
                    group.start_soon(member.link.close)

    async def send(self, message: Message, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        """Not the way through a bundle: its relay sends by the members' links."""
        raise UpstreamError("no single server stands behind this endpoint")

    async def listen(self, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        """As `send`."""
        raise UpstreamError("no single server stands behind this endpoint")

    # -- whose is whose -----------------------------------------------------------------------------------------------

    def depart(self, message: Message, server: str) -> None:
        """A request of the client goes to a server."""
        if message.id is not None:
            self.routes[message.id] = server
        if (token := _label(message.meta.get("progressToken"))) is not None:
            self._tokens[token] = server

    def arrived(self, message: Message) -> None:
        """The request was answered."""
        if message.id is not None:
            self.routes.pop(message.id, None)
        if (token := _label(message.meta.get("progressToken"))) is not None:
            self._tokens.pop(token, None)

    def to_client(self, message: Message, server: str) -> Message | None:
        """What the client sees of something that is no answer; None if it must not see it."""
        message = renamed(message, lambda one: self.tasks.seal(self.owner, server, one))
        if message.is_request and message.id is not None:
            return self._asked(message, message.id, server)
        if message.method == PROGRESS:
            token = _label(message.params.get("progressToken"))
            return message if token is not None and self._tokens.get(token) == server else None
        if message.method == CANCELLED and self.era is Era.LEGACY:
            cancelled = _label(message.params.get("requestId"))
            ours = next((n for n, one in self._questions.items() if (one.server, one.id) == (server, cancelled)), None)
            return None if ours is None else with_params(message, requestId=ours)
        if message.method.endswith("/list_changed"):
            self.book.forget_lists(server)
        return message

    def answered(self, message: Message) -> tuple[str, Message] | None:
        """The server that asked, and the client's answer under the server's own id; None if nobody asked."""
        question = self._questions.pop(message.id, None) if type(message.id) is int else None
        if question is None:
            return None
        return question.server, self.restored(Message.build({**message.value, "id": question.id}), question.server)

    def progressed(self, message: Message) -> tuple[str, Message] | None:
        """The client's progress with what a server asked, under the server's own token."""
        token = message.params.get("progressToken")
        question = self._questions.get(token) if type(token) is int else None
        return None if question is None else (question.server, with_params(message, progressToken=question.token))

    def restored(self, message: Message, server: str) -> Message:
        """What the client sends, with the server's own ids of its tasks."""

        def theirs(task_id: str) -> str:
            found = self.tasks.open(task_id, self.owner)
            return found[1] if found is not None and found[0] == server else task_id

        return message if not related(message) else renamed(message, theirs)

    def forget_questions(self, server: str) -> None:
        """A server does not wait any more."""
        for ours in [ours for ours, one in self._questions.items() if one.server == server]:
            del self._questions[ours]

    def _asked(self, message: Message, request_id: RequestId, server: str) -> Message:
        ours = next(self._numbers)
        token = message.meta.get("progressToken")
        self._questions[ours] = Question(server, request_id, token)
        if len(self._questions) > MOST_QUESTIONS:
            self._questions.popitem(last=False)
        value: JsonObject = {**message.value, "id": ours}
        if token is not None:
            value["params"] = {**message.params, "_meta": {**message.meta, "progressToken": ours}}
        return Message.build(value)

    def _belongs_to(self, run: SessionRef) -> None:
        """A call to one server belongs to a run: so does what goes to the others, which must end when it is killed."""
        self._run = run
        for member in self._members.values():
            member.calls.belongs_to(run)


class Aggregate:
    """All configured servers as one, for the fronts.

    Args:
        servers: the configured servers by name.
        shelf: remembers what was listed.
        tasks: seals the ids of tasks.
        kept: keeps what clients missed.
    """

    name = ""
    transport = "aggregate"

    def __init__(self, servers: Mapping[str, Server], shelf: Shelf, tasks: TaskIds, kept: Kept | None = None) -> None:
        self._servers = servers
        self._tasks = tasks
        self._kept = kept or Kept()
        self._shelf = shelf
        self.condition = Condition()

    def visible(self, principal: Principal) -> tuple[str, ...]:
        """The names of the servers that a principal may reach, in the order of everything here."""
        globs = _globs(principal.servers)
        return tuple(name for name in sorted(self._servers) if globs.match(name))

    async def open(self, principal: Principal, era: Era) -> Bundle:
        """A bundle without any session yet: each is opened when it is needed first."""
        owner = (principal.key_id, principal.tenant, principal.user)
        return Bundle(self._servers, era, owner, self._shelf.of(owner), self._kept, self._tasks)

    async def aclose(self) -> None:
        """Nothing to close: the servers belong to somebody else."""


def with_params(message: Message, **changes: Json) -> Message:
    """The message with other parameters."""
    return Message.build({**message.value, "params": {**message.params, **changes}})


def _label(value: Json) -> RequestId | None:
    return value if type(value) is str or type(value) is int else None


@lru_cache(maxsize=1024)
def _globs(patterns: tuple[str, ...]) -> Globs:
    return Globs(patterns)
