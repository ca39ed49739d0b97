"""One request of a legacy client to a modern server: the rounds that it takes become requests of the server.

A modern server that needs something answers `input_required`; its questions are put to the client on the stream of the
call, and the request is made again with the answers (SEP-2322). How messages are stamped is `downward.py`.
"""

import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import anyio

from governance import jsontree
from governance.jsontree import Json, JsonObject
from mcp_proxy.bridge.downward import legacy_response, may_ask
from mcp_proxy.bridge.replies import Reader, failure, request
from mcp_proxy.errors import UPSTREAM_FAILED
from mcp_proxy.link import NO_HEADERS, Event, Reply, UpstreamError
from mcp_proxy.message import Message, RequestId, result_of
from mcp_proxy.sdk import HEADER_MISMATCH

log = logging.getLogger(__name__)

MOST_ROUNDS = 10
"""Rounds that one request may take, as in the official clients."""
MOST_QUESTIONS = 32
"""Questions of one round."""
ANSWER_SECONDS = 600.0
"""How long a client may take to answer the questions of one round."""
STATE_ONLY_SECONDS = 0.25
"""Pause before a request is made again whose server asked for nothing but that."""


@dataclass(eq=False, slots=True)
class Question:
    """A request of the server that the client has not answered yet."""

    key: str
    answered: anyio.Event = field(default_factory=anyio.Event)
    answer: Message | None = None


class Session(Protocol):
    """The client session that a request belongs to (`legacy_client.TranslatingLink`)."""

    @property
    def capabilities(self) -> JsonObject:
        """What the client declared."""
        ...

    async def deliver(self, message: Message, request_id: RequestId, more: JsonObject) -> Reply:
        """Send a request to the modern server."""
        ...

    def fresh_id(self) -> str:
        """An id that no other request of this session has."""
        ...

    def ask(self, request_id: str, question: Question) -> None:
        """Expect the client's answer to a request with this id."""
        ...

    def settle(self, request_id: str) -> None:
        """Expect it no more."""
        ...

    async def learn_tools(self) -> None:
        """Look at the server's tools again."""
        ...

    def finished(self, call: "RoundsReply") -> None:
        """Nobody reads this reply any more."""
        ...

    def seen(self, asked: Message, response: Message) -> Message:
        """The response, after the session took from it what it needs."""
        ...


class RoundsReply:
    """The answer to one request, over as many rounds as it takes. Make it with `open`."""

    status = 200
    headers: Mapping[str, str] = NO_HEADERS

    def __init__(self, session: Session, asked: Message) -> None:
        self.asked = asked
        """The client's request."""
        self._session = session
        self._reader: Reader | None = None
        self._leg: RequestId | None = asked.id
        self._ready: deque[Event] = deque()
        self._questions: dict[str, Question] = {}
        self._state: Json = None
        self._rounds = 0
        self._corrected = False
        self._ended = False
        self._cancelled = False
        self._waiting: anyio.CancelScope | None = None

    @property
    def events(self) -> AsyncIterator[Event]:
        """The messages in order; see `Reply.events`."""
        return self

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._ready:
            if self._ended:
                raise StopAsyncIteration
            await self._advance()
        return self._ready.popleft()

    async def start(self) -> None:
        """Make the first leg.

        Raises:
            UpstreamError: it cannot be delivered.
        """
        await self._make_leg(self.asked.id or 0, {})

    def cancel(self) -> None:
        """The client does not want the answer any more."""
        self._cancelled = True
        if self._reader is not None:
            self._reader.wake()
        if self._waiting is not None:
            self._waiting.cancel()

    async def aclose(self) -> None:
        """Nobody reads on: closing the stream of a modern request cancels it."""
        self._forget_questions()
        self._session.finished(self)
        await self._end_leg()

    async def _end_leg(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.aclose()

    async def _make_leg(self, request_id: RequestId, more: JsonObject) -> None:
        self._leg = request_id
        self._reader = Reader(await self._session.deliver(self.asked, request_id, more))

    async def _advance(self) -> None:
        if self._reader is None:
            await self._next_round()
            return
        event = await self._reader.next()
        if self._cancelled:
            raise UpstreamError("the call was cancelled")
        message = event.message if event is not None else None
        if message is None or message.is_request:
            return  # places to resume from and requests of the server do not exist in this era
        if not message.is_response:
            self._ready.append(Event(message))
        elif message.id in (self._leg, None):
            await self._answered(message)

    async def _answered(self, message: Message) -> None:
        error = jsontree.as_object(message.value.get("error"))
        if error.get("code") == HEADER_MISMATCH and not self._corrected:
            await self._end_leg()
            self._corrected = True  # refused unread, so it may be made again
            await self._session.learn_tools()
            await self._make_leg(self._session.fresh_id(), {})
        elif result_of(message).get("resultType") == "input_required":
            await self._end_leg()
            self._begin_round(result_of(message))
        else:
            self._finish(legacy_response(self._session.seen(self.asked, message), self.asked))

    def _begin_round(self, wanted: JsonObject) -> None:
        self._rounds += 1
        self._state = wanted.get("requestState")
        asked = jsontree.as_object(wanted.get("inputRequests"))
        if self._rounds > MOST_ROUNDS:
            self._fail(f"the server asked for input more than {MOST_ROUNDS} times")
            return
        if len(asked) > MOST_QUESTIONS:
            self._fail(f"the server asked more than {MOST_QUESTIONS} questions at once")
            return
        for key, value in asked.items():
            one = jsontree.as_object(value)
            method = jsontree.as_text(one.get("method"))
            params = jsontree.as_object(one.get("params"))
            if not may_ask(self._session.capabilities, method, params):
                self._forget_questions()
                self._ready.clear()
                self._fail("the server asked for something that this client has not declared")
                return
            if params.get("mode") == "url" and "elicitationId" not in params:
                params = {**params, "elicitationId": self._session.fresh_id()}
            request_id = self._session.fresh_id()
            self._questions[request_id] = Question(key)
            self._session.ask(request_id, self._questions[request_id])
            self._ready.append(Event(request(request_id, method, params)))

    async def _next_round(self) -> None:
        """Wait for the client's answers, then make the request again with them."""
        questions = list(self._questions.values())
        with anyio.move_on_after(ANSWER_SECONDS) as self._waiting:
            for question in questions:
                await question.answered.wait()
            if not questions:
                await anyio.sleep(STATE_ONLY_SECONDS)
        self._waiting = None
        self._forget_questions()
        if self._cancelled:
            raise UpstreamError("the call was cancelled")
        answers: JsonObject = {}
        for question in questions:
            if question.answer is None:
                self._fail("the client did not answer the server's questions in time")
                return
            if "result" not in question.answer.value:
                told = {"jsonrpc": "2.0", "id": self.asked.id, "error": question.answer.value.get("error")}
                self._finish(Message.build(told))
                return
            answers[question.key] = question.answer.value["result"]
        more: JsonObject = {}
        if answers:
            more["inputResponses"] = answers
        if self._state is not None:
            more["requestState"] = self._state
        await self._make_leg(self._session.fresh_id(), more)

    def _forget_questions(self) -> None:
        for request_id in self._questions:
            self._session.settle(request_id)
        self._questions = {}

    def _fail(self, why: str) -> None:
        log.warning("a request of a legacy client was given up: %s", why)
        self._finish(failure(self.asked.id, UPSTREAM_FAILED, why, {"wicket": "upstream"}))

    def _finish(self, message: Message) -> None:
        self._ended = True
        self._ready.append(Event(message))
