"""What a server asks of a client: sampling, elicitation, roots. Each question is an exchange of its own.

The question is judged before the client sees it and the client's response before the server does, in one passage whose
events name the call that caused it. A question that is refused is answered to the server and never reaches the client.
Questions inside a result, and answers inside a request, are `inputs.py`.
"""

import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

import anyio

from governance.clock import Clock
from governance.exchange import Action, Body, Exchange, Phase, Resource, new_id
from governance.jsontree import Json
from governance.stage import Outcome, RefusedError
from mcp_proxy import errors
from mcp_proxy.incoming import LAST_EVENT_ID, Inspecting, Put
from mcp_proxy.lens import ASKED, answering_segments, asking_segments, message_of
from mcp_proxy.link import Event, Link, UpstreamError
from mcp_proxy.message import Message, RequestId

log = logging.getLogger(__name__)

MOST_OPEN = 64
"""Questions to one client that may be open; a server that asks more is refused."""
TELL_SECONDS = 5
"""How long it may take to tell a server that its question was refused."""
CANCELLED = "notifications/cancelled"
_QUIET = "ping"
"""Asked all the time, by both sides, and of no consequence: nothing is recorded of it while it is clean."""

Spawn: TypeAlias = Callable[[Callable[[], Coroutine[Any, Any, None]]], object]
"""Runs something in the background for as long as the client is connected (`TaskGroup.start_soon`)."""


class Way(Protocol):
    """One exchange on its way through the guard (`pipeline.passage.Passage`)."""

    exchange: Exchange

    async def respond(self, body: Body) -> Exchange:
        """Judge a whole response."""
        ...

    async def settle(self, outcome: Outcome) -> None:
        """Make the outcome durable."""
        ...


class Gate(Inspecting, Protocol):
    """The guard, as questions need it (`pipeline.guard.Guard`)."""

    def passage(self, exchange: Exchange) -> AbstractAsyncContextManager[Way]:
        """The way of one exchange."""
        ...


@dataclass(eq=False)
class Question:
    """One open request of a server."""

    message: Message
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    sent: Message | None = None
    """The request as the client got it, once it did."""
    answer: Message | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of the client's response."""
    answered: anyio.Event = field(default_factory=anyio.Event)
    done: anyio.Event = field(default_factory=anyio.Event)
    failure: Exception | None = None
    """Why the client's response could not be delivered."""
    withdrawn: bool = False
    """Whether the server does not want to know any more."""


class Questions:
    """The open questions to one client. Without `spawn` the client cannot be asked: its messages stand alone."""

    def __init__(self, spawn: Spawn | None = None) -> None:
        self.spawn = spawn
        self._open: dict[RequestId, Question] = {}
        self._all: set[Question] = set()
        """Those whose answer is on its way to the server as well."""

    def __len__(self) -> int:
        return len(self._all)

    def find(self, request_id: Json) -> Question | None:
        """The open question of this id."""
        return self._open.get(request_id) if type(request_id) is str or type(request_id) is int else None

    def enter(self, question: Question) -> None:
        """The question is open."""
        self._all.add(question)
        if question.message.id is not None:
            self._open[question.message.id] = question

    def release(self, question: Question) -> None:
        """Its answer goes to the server now, which may use the id for another question as soon as it has it."""
        if question.message.id is not None and self._open.get(question.message.id) is question:
            del self._open[question.message.id]

    def leave(self, question: Question) -> None:
        """The question is closed."""
        self.release(question)
        self._all.discard(question)
        question.done.set()

    def withdraw(self, request_id: Json) -> None:
        """The server does not wait for an answer any more."""
        question = self.find(request_id)
        if question is not None:
            question.withdrawn = True
            question.scope.cancel()

    def close(self) -> None:
        """The client's session has ended."""
        for question in list(self._all):
            question.withdrawn = True
            question.scope.cancel()


@dataclass(frozen=True)
class Asking:
    """Takes a server's questions to one client and the answers back."""

    gate: Gate
    clock: Clock
    patience: float
    """Seconds that a client may think about a question."""
    link: Link
    questions: Questions
    headers: Mapping[str, str]
    """The client's end-to-end MCP headers."""

    async def ask(self, event: Event, cause: Exchange, put: Put) -> None:
        """Take in a question. Returns at once: what comes after it is not held up while it is judged.

        Args:
            event: holds the request of the server.
            cause: the exchange on whose stream it came.
            put: sends to the client on that stream.
        """
        message = event.message
        if message is None:
            return
        known = self.questions.find(message.id)
        if known is not None:
            # A stream that is resumed repeats what the client may have missed: it gets what was judged, or nothing.
            if known.message.raw != message.raw:
                log.warning("server %s: a question was dropped: its id is that of an open one", cause.resource.server)
            elif known.sent is not None:
                await put(replace(event, message=known.sent))
            return
        if self.questions.spawn is None or len(self.questions) >= MOST_OPEN:
            log.warning("server %s: a question was refused: nobody can be asked now", cause.resource.server)
            await self._tell(errors.to_server(message, None))
            return
        question = Question(message)
        self.questions.enter(question)

        async def run() -> None:
            await self._run(question, event, cause, put)

        self.questions.spawn(run)

    async def _run(self, question: Question, event: Event, cause: Exchange, put: Put) -> None:
        """Carry one question to its end. Nothing may come out of here: it is nobody's child."""
        refusal: Message | None = errors.to_server(question.message, None)
        try:
            with question.scope, anyio.move_on_after(self.patience):
                govern = self._inspected if question.message.method == _QUIET else self._governed
                await govern(question, event, self._exchange(question.message, cause), put)
                refusal = None
        except RefusedError as error:
            refusal = errors.to_server(question.message, error)
        except UpstreamError as error:
            question.failure, refusal = error, None
        except Exception:
            log.exception("server %s: a question could not be carried", cause.resource.server)
        finally:
            self.questions.leave(question)
        if refusal is not None and not question.withdrawn:
            await self._tell(refusal)

    async def _governed(self, question: Question, event: Event, exchange: Exchange, put: Put) -> None:
        async with self.gate.passage(exchange) as way:
            answer = await self._answer(question, event, way.exchange, put)
            judged = await way.respond(answer_body(answer, exchange.action))
            await way.settle(Outcome("error" if "error" in answer.value else "ok"))
            await self._deliver(question, answer if judged.response is None else message_of(judged.response, answer))

    async def _inspected(self, question: Question, event: Event, exchange: Exchange, put: Put) -> None:
        """As `_governed`, for what leaves no trace: first what comes from the server, then what goes to it."""
        asked = await self.gate.inspect(replace(exchange, response=exchange.request), Phase.RESPONSE)
        sent = exchange if asked.response is None else replace(exchange, request=asked.response)
        answer = await self._answer(question, event, sent, put)
        body = answer_body(answer, exchange.action)
        told = await self.gate.inspect(replace(exchange, request=body, response=None), Phase.REQUEST)
        await self._deliver(question, message_of(told.request, answer))

    async def _answer(self, question: Question, event: Event, judged: Exchange, put: Put) -> Message:
        """Put the question to the client; returns its response."""
        question.sent = message_of(judged.request, question.message)
        await put(replace(event, message=question.sent))
        await question.answered.wait()
        if question.answer is None:
            raise RuntimeError("woken without an answer")
        return question.answer

    async def _deliver(self, question: Question, answer: Message) -> None:
        self.questions.release(question)
        await (await self.link.send(answer, question.headers)).aclose()

    async def _tell(self, refusal: Message) -> None:
        """Tell the server that its question gets no answer; one that cannot be told has gone."""
        headers = {name: text for name, text in self.headers.items() if name != LAST_EVENT_ID}
        with anyio.move_on_after(TELL_SECONDS, shield=True):
            try:
                await (await self.link.send(refusal, headers)).aclose()
            except UpstreamError as error:
                log.info("a server could not be told that its question was refused: %s", error)
            except Exception:
                log.exception("a server could not be told that its question was refused")

    def _exchange(self, message: Message, cause: Exchange) -> Exchange:
        action = ASKED.get(message.method, Action.MESSAGE)
        request = Body(message.value, raw=message.raw, strings=message.strings, lens=asking_segments)
        return caused(cause, action, message.method, request, self.clock)


async def answer(questions: Questions, message: Message, headers: Mapping[str, str]) -> None:
    """Take in a client's response. One that answers nothing goes nowhere.

    Raises:
        UpstreamError: it could not be delivered.
    """
    question = questions.find(message.id)
    if question is None or question.sent is None or question.answer is not None:
        log.warning("a response of a client answers no open question and was dropped")
        return
    question.answer, question.headers = message, headers
    question.answered.set()
    await question.done.wait()
    if question.failure is not None:
        raise question.failure


def caused(cause: Exchange, action: Action, method: str, request: Body, clock: Clock) -> Exchange:
    """The exchange of a question, in the run of the exchange that caused it."""
    at = clock.now()
    return Exchange(
        id=new_id(at),
        at=at,
        action=action,
        principal=cause.principal,
        resource=Resource(server=cause.resource.server, name=method),
        session=cause.session,
        request=request,
        facts={**cause.facts, "method": method, "caused_by": cause.id},
    )


def answer_body(message: Message, action: Action) -> Body:
    """The body of a client's response to a question, to be judged."""
    return Body(message.value, raw=message.raw, strings=message.strings, lens=answering_segments(action))
