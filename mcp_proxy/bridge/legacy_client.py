"""A legacy client in front of a server that speaks only the modern revision: one client session.

What a session is to a legacy client, each modern request says anew: capabilities, name, log level. The rounds of one
request are `rounds.py`, the server's own stream is `legacy_stream.py`, the changes in messages are `downward.py`.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count

import anyio

from governance import jsontree
from governance.jsontree import JsonObject
from mcp_proxy.bridge.downward import LARGEST_CLAIMS, LEVELS, NO_TASKS, ClientFacts, initialize_result, modern_request
from mcp_proxy.bridge.headers import Annotations
from mcp_proxy.bridge.legacy_stream import OwnStream
from mcp_proxy.bridge.probe import HEADERS, discover_request
from mcp_proxy.bridge.replies import OneReply, answer_of, failure, request, result
from mcp_proxy.bridge.rounds import Question, RoundsReply
from mcp_proxy.link import NO_HEADERS, Link, LinkLostError, Reply, UpstreamError
from mcp_proxy.message import INVALID_PARAMS, Message, RequestId, result_of
from mcp_proxy.sdk import METHOD_NOT_FOUND
from mcp_proxy.transports.piped import ACCEPTED, EmptyReply
from mcp_proxy.transports.switchboard import CANCELLED

log = logging.getLogger(__name__)

MOST_PAGES = 100
"""Pages of a tool list that are looked at for header annotations."""
_ONLY_MODERN = ("server/discover", "subscriptions/listen")


class TranslatingLink:
    """A link for one legacy client session.

    Args:
        name: the server's name in the configuration.
        link: to the modern server; closed with this one.
        annotations: what its tools want repeated in headers; None over transports without headers.
        failed: called when it turns out that the server does not speak the modern revision any more.
    """

    stateful = True

    def __init__(self, name: str, link: Link, annotations: Annotations | None, failed: Callable[[], None]) -> None:
        self._name = name
        self._link = link
        self._annotations = annotations
        self._failed = failed
        self._facts: ClientFacts | None = None
        self._numbers = count(1)
        self._calls: dict[RequestId, RoundsReply] = {}
        self._questions: dict[RequestId, Question] = {}
        self._stream = OwnStream(self._send_listen)
        self._looked = False
        self._closed = False

    @property
    def capabilities(self) -> JsonObject:
        """What the client declared."""
        return self._facts.capabilities if self._facts is not None else {}

    async def send(self, message: Message, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        """Deliver or answer one message; see `Link.send`.

        Raises:
            UpstreamError: the message cannot be delivered.
        """
        if self._closed:
            raise LinkLostError("the session has ended: start a new one")
        if message.is_response:
            question = self._questions.get(message.id) if message.id is not None else None
            if question is not None:
                question.answer = message
                question.answered.set()
            return ACCEPTED
        if message.is_notification:
            self._notified(message)
            return ACCEPTED
        if message.method == "initialize":
            return OneReply(await self._initialize(message))
        if self._facts is None:
            raise LinkLostError(f"server `{self._name}` needs `initialize` first: start a new session")
        answer = await self._answered_here(message)
        return OneReply(answer) if answer is not None else await self._call(message)

    async def listen(self, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        """What the server sends of its own accord: the subscription of this session; see `Link.listen`."""
        if self._closed:
            raise LinkLostError("the session has ended: start a new one")
        return self._stream.reply() or EmptyReply(409)

    async def close(self) -> None:
        """End the session; see `Link.close`."""
        if self._closed:
            return
        self._closed = True
        self._stream.end()
        for call in list(self._calls.values()):
            call.cancel()
        await self._link.close()

    # -- for the rounds of a request --------------------------------------------------------------------------------

    async def deliver(self, message: Message, request_id: RequestId, more: JsonObject) -> Reply:
        """Send a request to the modern server, stamped with what this client is.

        Raises:
            UpstreamError: it cannot be delivered.
        """
        facts = self._facts or ClientFacts()
        stamped = modern_request(message, facts, request_id, more)
        headers = self._annotations.headers(stamped) if self._annotations is not None else NO_HEADERS
        return await self._link.send(stamped, headers)

    def fresh_id(self) -> str:
        """An id that no other request of this session has."""
        return f"wicket-{next(self._numbers)}"

    def ask(self, request_id: str, question: Question) -> None:
        """Expect the client's answer to a request with this id."""
        self._questions[request_id] = question

    def settle(self, request_id: str) -> None:
        """Expect it no more."""
        self._questions.pop(request_id, None)

    def finished(self, call: RoundsReply) -> None:
        """Nobody reads this reply any more."""
        if call.asked.id is not None and self._calls.get(call.asked.id) is call:
            del self._calls[call.asked.id]

    def seen(self, asked: Message, response: Message) -> Message:
        """The response, without the tools whose headers nobody could send."""
        if self._annotations is None or asked.method != "tools/list":
            return response
        told = result_of(response)
        tools = jsontree.as_list(told.get("tools"))
        valid = self._annotations.learn(tools)
        if len(valid) == len(tools):
            return response
        return replace(response, value={**response.value, "result": {**told, "tools": valid}})

    async def learn_tools(self) -> None:
        """Look at the server's tools, for the headers that they want."""
        if self._annotations is None:
            return
        self._looked = True
        cursor: JsonObject = {}
        for _ in range(MOST_PAGES):
            reply = RoundsReply(self, request(self.fresh_id(), "tools/list", cursor))
            try:
                await reply.start()
                told: JsonObject = {}
                async for event in reply:
                    told = result_of(event.message) if event.message is not None else told
            finally:
                with anyio.CancelScope(shield=True):
                    await reply.aclose()
            if "nextCursor" not in told:
                return
            cursor = {"cursor": told["nextCursor"]}

    # -- messages of the client ---------------------------------------------------------------------------------------

    async def _initialize(self, message: Message) -> Message:
        facts = ClientFacts.of(message)
        if len(jsontree.dump([facts.capabilities, facts.info])) > LARGEST_CLAIMS:
            return failure(message.id, INVALID_PARAMS, f"a client may tell {LARGEST_CLAIMS} bytes of itself")
        asked = discover_request(self.fresh_id(), facts.capabilities, facts.info)
        try:
            response = await answer_of(self._link, asked, HEADERS)
        except UpstreamError:
            self._failed()
            raise
        discovered = response.value.get("result")
        if not isinstance(discovered, dict):
            self._failed()
            return Message.build({**response.value, "id": message.id})
        self._facts = facts
        told = initialize_result(discovered, message.params.get("protocolVersion"), self._name)
        self._stream.offered = jsontree.as_object(told.get("capabilities"))
        return result(message.id, told)

    def _notified(self, message: Message) -> None:
        """No notification of a client has a place in the modern revision, but a cancellation has a meaning."""
        if message.method != CANCELLED:
            return
        wanted = message.params.get("requestId")
        call = self._calls.get(wanted) if isinstance(wanted, str | int) else None
        if call is not None:
            call.cancel()

    async def _answered_here(self, message: Message) -> Message | None:
        """The answer to what the modern revision has no request for; None for every other request."""
        method, params = message.method, message.params
        if method == "ping":
            return result(message.id, {})
        if method.startswith("tasks/"):
            return failure(message.id, METHOD_NOT_FOUND, NO_TASKS)
        if method in _ONLY_MODERN:
            return failure(message.id, METHOD_NOT_FOUND, f"`{method}` is not offered here")
        if method == "logging/setLevel":
            level = params.get("level")
            if not isinstance(level, str) or level not in LEVELS:
                return failure(message.id, INVALID_PARAMS, f"`level` must be one of `{'`, `'.join(LEVELS)}`")
            self._facts = replace(self._facts or ClientFacts(), level=level)
            return result(message.id, {})
        if method in ("resources/subscribe", "resources/unsubscribe"):
            return await self._subscribe(message)
        return None

    async def _subscribe(self, message: Message) -> Message:
        uri = message.params.get("uri")
        if not isinstance(uri, str):
            return failure(message.id, INVALID_PARAMS, "`params.uri` must be a string")
        if not jsontree.as_object(self._stream.offered.get("resources")).get("subscribe"):
            return failure(message.id, METHOD_NOT_FOUND, "this server offers no subscriptions to resources")
        if message.method == "resources/unsubscribe":
            self._stream.unwant(uri)
        elif not self._stream.want(uri):
            return failure(message.id, INVALID_PARAMS, "too many subscriptions, or too long a `uri`")
        await self._stream.settled()
        return result(message.id, {})

    async def _call(self, message: Message) -> Reply:
        if message.id is None or message.id in self._calls:
            raise UpstreamError("a request with this `id` is still open: use another `id`")
        if message.method == "tools/call" and not self._knows(jsontree.as_text(message.params.get("name"))):
            await self.learn_tools()
        call = self._calls[message.id] = RoundsReply(self, message)
        try:
            await call.start()
        except BaseException:
            self.finished(call)
            raise
        return call

    def _knows(self, tool: str) -> bool:
        """Whether looking at the tools would not help to find the headers of a call."""
        return self._annotations is None or self._looked or tool in self._annotations

    async def _send_listen(self, wanted: JsonObject) -> Reply:
        asked = request(self.fresh_id(), "subscriptions/listen", {"notifications": wanted})
        return await self.deliver(asked, asked.id or 0, {})
