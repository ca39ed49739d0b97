"""One request of a modern client, under way at a legacy server, over as many legs as the client makes of it.

A server that asks something during a call suspends the call: the client is told `input_required`, and its next leg
brings the answer. Who may come back to a suspended call is `suspension.py`.
"""

import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

import anyio

from governance import jsontree
from governance.jsontree import Json, JsonObject
from mcp_proxy.bridge.downward import may_ask
from mcp_proxy.bridge.replies import Reader, failure, notification, result
from mcp_proxy.bridge.upward import (
    LOG,
    Guest,
    covers,
    legacy_request,
    level_of,
    modern_progress,
    modern_response,
    pages_to_open,
    question_of,
    token_of,
)
from mcp_proxy.link import NO_HEADERS, Event, LinkLostError, Reply, UpstreamError
from mcp_proxy.message import Message
from mcp_proxy.sdk import INPUT_REQUIRED_METHODS, METHOD_NOT_FOUND
from mcp_proxy.transports.switchboard import CANCELLED, PROGRESS, SESSION_BYTES, SESSION_WIDE

log = logging.getLogger(__name__)

CANCEL_SECONDS = 5.0
"""How long telling the server of a cancellation may take."""
GATHER_SECONDS = 0.02
"""How long after a question of the server others are waited for, so that one leg can answer all of them."""
MOST_RESUMED = 100
"""How often one request's stream may be ended by the server and gone on with."""
LONGEST_RETRY_SECONDS = 5.0
"""A server that wants a longer pause before that does not get it."""
MOST_QUESTIONS = 32
"""Questions that one leg answers."""
_OF_NO_USE = frozenset(
    {CANCELLED, PROGRESS, "notifications/elicitation/complete", "notifications/tasks/status", "notifications/message"}
)
"""Notifications of a legacy server that this revision does not have, or that were not asked for."""


class Upstream(Protocol):
    """The session with the legacy server (`pool.UpstreamSession`)."""

    @property
    def initialized(self) -> JsonObject:
        """The server's `InitializeResult`."""
        ...

    async def send(self, message: Message) -> Reply:
        """Deliver one message.

        Raises:
            UpstreamError: it cannot be delivered.
        """
        ...

    async def resume(self, place: str) -> Reply:
        """The rest of a stream that the server ended at a place.

        Raises:
            UpstreamError: it is not to be had.
        """
        ...

    def enter(self, talk: "Conversation") -> int:
        """A conversation begins; returns the id that its request has upstream."""
        ...

    def leave(self, talk: "Conversation") -> None:
        """A conversation is over."""
        ...

    def tell(self, message: Message, /) -> None:
        """A notification came that is for whoever listens."""
        ...


class Conversation:
    """A request on its way."""

    def __init__(self, upstream: Upstream, asked: Message) -> None:
        self.upstream = upstream
        self.questions: dict[str, Message] = {}
        """Requests of the server that wait for the client, by the key that the client knows them by."""
        self.wire_id = upstream.enter(self)
        self._asked = asked
        self._reader: Reader | None = None
        self._injected: deque[Message] = deque()
        self._held = 0
        self._place: str | None = None
        self._retry = 1000
        self._resumed = 0
        self._numbers = 0
        self._over = False
        self._looking = anyio.Lock()

    async def start(self) -> None:
        """Send the request.

        Raises:
            UpstreamError: it cannot be delivered.
        """
        try:
            self._reader = Reader(await self.upstream.send(legacy_request(self._asked, self.wire_id)))
        except UpstreamError:
            self._leave()
            raise
        except BaseException:
            await self.cancel()
            raise

    async def next(self) -> Message | None:
        """The next message; None if somebody woke the reader.

        Raises:
            UpstreamError: there is none.
        """
        if self._injected:
            message = self._injected.popleft()
            self._held -= len(message.raw)
            return message
        if self._reader is None:
            raise UpstreamError("the call is over")
        try:
            event = await self._reader.next()
        except StopAsyncIteration:
            await self._resume()
            return None
        if event is None:
            return None
        return self._taken(event)

    async def waits(self) -> bool:
        """Whether the server still listens, as far as that can be told without waiting for it.

        Only while nobody reads.
        """
        async with self._looking:
            return not self._over and self._reader is not None and await self._listens(self._reader)

    async def _listens(self, reader: Reader) -> bool:
        try:
            with anyio.move_on_after(0):
                event = await reader.next()
                if event is not None and (message := self._taken(event)) is not None:
                    self.put_back(message)
        except StopAsyncIteration:
            return self._place is not None  # its stream is gone on with where it ended
        except UpstreamError:
            return False
        return True

    def _taken(self, event: Event) -> Message | None:
        self._place = event.event_id or self._place
        self._retry = event.retry or self._retry
        return event.message

    async def _resume(self) -> None:
        """Go on where the server ended its stream, if it gave a place to go on from (2025-11-25, "Resumability").

        Raises:
            UpstreamError: it did not, or does not let us.
        """
        self._resumed += 1
        if self._place is not None and self._resumed <= MOST_RESUMED and self._reader is not None:
            await self._reader.aclose()
            await anyio.sleep(min(self._retry / 1000, LONGEST_RETRY_SECONDS))
            try:
                reply = await self.upstream.resume(self._place)
            except LinkLostError as error:
                raise UpstreamError(str(error)) from None
            if reply.status == 200:
                self._reader = Reader(reply)
                return
            await reply.aclose()
        raise UpstreamError("the server ended its answer without a response")

    def inject(self, message: Message) -> None:
        """A message of this conversation came another way. While nobody reads, not much is kept."""
        if self._held + len(message.raw) > SESSION_BYTES:
            log.warning("a message for a suspended call was dropped: too many wait")
            return
        self.put_back(message)
        self.wake()

    def put_back(self, message: Message) -> None:
        """Let `next` return this message again."""
        self._injected.append(message)
        self._held += len(message.raw)

    def wake(self) -> None:
        """Let `next` return."""
        if self._reader is not None:
            self._reader.wake()

    def ask(self, question: Message) -> None:
        """Keep a request of the server until the client answers it."""
        self._numbers += 1
        self.questions[f"input-{self._numbers}"] = question

    async def answer(self, answers: Mapping[str, Json]) -> None:
        """Give the server what it asked for.

        Raises:
            UpstreamError: it cannot be delivered.
        """
        questions, self.questions = self.questions, {}
        for key, question in questions.items():
            answer: JsonObject = {"jsonrpc": "2.0", "id": question.id, "result": answers[key]}
            await (await self.upstream.send(Message.build(answer))).aclose()

    def finish(self) -> None:
        """The response was read."""
        self._leave()

    async def close(self) -> None:
        """Let go of the response's stream, if the request is not under way any more."""
        reader = self._reader if self._over else None
        if reader is not None:
            self._reader = None
            await reader.aclose()

    async def cancel(self, why: str = "the client has left") -> None:
        """Nobody wants the answer any more: the server is told, if that is still possible."""
        if self._over:
            return
        self._leave()
        reason: JsonObject = {"requestId": self.wire_id, "reason": why}
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(CANCEL_SECONDS):
                try:
                    await (await self.upstream.send(notification(CANCELLED, reason))).aclose()
                except UpstreamError as error:
                    log.info("a cancellation could not be delivered: %s", error)
            await self.close()

    def _leave(self) -> None:
        if not self._over:
            self._over = True
            self.upstream.leave(self)


class LegReply:
    """The answer to one leg: what comes until the response, or until the server asks something.

    Args:
        talk: the conversation; started, and its questions answered.
        asked: the client's request of this leg.
        guest: the client with what it declared on this very request.
        suspend: keeps the conversation for the next leg; returns its `requestState`, or None if there is no room.
    """

    status = 200
    headers: Mapping[str, str] = NO_HEADERS

    def __init__(
        self, talk: Conversation, asked: Message, guest: Guest, suspend: Callable[[Conversation, Message], str | None]
    ) -> None:
        self.suspends = False
        """Whether its call waits for the client's next leg."""
        self._talk = talk
        self._asked = asked
        self._guest = guest
        self._suspend = suspend
        self._level = level_of(asked)
        self._done = False
        self._cancelled = False

    @property
    def events(self) -> AsyncIterator[Event]:
        """The messages in order; see `Reply.events`."""
        return self

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        if self._done:
            raise StopAsyncIteration
        while True:
            message = await self._talk.next()
            if self._cancelled:
                raise UpstreamError("the call was cancelled")
            found = await self._heard(message) if message is not None else None
            if found is not None:
                return Event(found)

    def cancel(self) -> None:
        """The client does not want the answer any more."""
        self._cancelled = True
        self._talk.wake()

    async def aclose(self) -> None:
        """Nobody reads on: cancels the request upstream, unless it is answered or suspended."""
        if not self._done:
            self._done = True
            await self._talk.cancel()
        await self._talk.close()

    def suspended(self) -> Message | None:
        """What the client is told while the server waits for it; None if there is no room for another such call."""
        state = self._suspend(self._talk, self._asked)
        if state is None:
            return None
        self._done = self.suspends = True
        asked: JsonObject = {key: question_of(question) for key, question in self._talk.questions.items()}
        return result(self._asked.id, {"resultType": "input_required", "inputRequests": asked, "requestState": state})

    async def _heard(self, message: Message) -> Message | None:
        """What the client is told of one message of the server."""
        if message.is_response:
            return self._answered(message) if message.id in (self._talk.wire_id, None) else None
        if message.is_request:
            return await self._wanted(message)
        if message.method in SESSION_WIDE:
            self._talk.upstream.tell(message)
            return None
        token = self._asked.meta.get("progressToken")
        if token is not None and token_of(message) == self._talk.wire_id:
            return modern_progress(message, token)
        if message.method == LOG and covers(self._level, message):
            return message
        return None if message.method in _OF_NO_USE else message

    def _answered(self, message: Message) -> Message:
        self._done = True
        self._talk.finish()
        pages = pages_to_open(message, self._guest.capabilities)
        if pages:
            # Nothing is suspended: the server refused, and the next leg is a call of its own.
            return result(self._asked.id, {"resultType": "input_required", "inputRequests": pages})
        return modern_response(message, self._asked, self._talk.upstream.initialized)

    async def _wanted(self, question: Message) -> Message | None:
        """A request of the server: asked of the client where that is possible, else refused."""
        if question.method == "ping":
            await self._tell(result(question.id, {}))
            return None
        unasked = [question]
        if self._may_ask(question):
            self._talk.ask(question)
            await self._gather()
            told = self.suspended()
            if told is not None:
                return told
            unasked = list(self._talk.questions.values())
            self._talk.questions.clear()
        for one in unasked:
            await self._tell(failure(one.id, METHOD_NOT_FOUND, "the client cannot be asked this now"))
        return None

    async def _gather(self) -> None:
        """Take in the questions that the server asks at the same time."""
        with anyio.move_on_after(GATHER_SECONDS):
            while len(self._talk.questions) < MOST_QUESTIONS and not self._cancelled:
                message = await self._talk.next()
                if message is None:
                    continue  # woken: something was put in
                if not (message.is_request and self._may_ask(message)):
                    self._talk.put_back(message)
                    return
                self._talk.ask(message)

    def _may_ask(self, question: Message) -> bool:
        declared = may_ask(self._guest.capabilities, question.method, question.params)
        return declared and self._asked.method in INPUT_REQUIRED_METHODS

    async def _tell(self, message: Message) -> None:
        await (await self._talk.upstream.send(message)).aclose()


def answers_in(asked: Message, questions: Mapping[str, Message]) -> JsonObject | None:
    """The client's answers to `questions`; None if one is missing or no object. Others are ignored."""
    given = jsontree.as_object(asked.params.get("inputResponses"))
    found: JsonObject = {key: given[key] for key in questions if isinstance(given.get(key), dict)}
    return found if len(found) == len(questions) else None
