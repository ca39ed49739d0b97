"""The open requests of one client session, and the answers a client missed.

Streams over HTTP may be resumed: an answer then comes on another stream than the one its call was made on. This book
sees to it that such an answer leaves only if it is the judged one, or one that needs no judgement. It judges nothing
itself.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeAlias

import anyio

from governance.exchange import SessionRef
from governance.jsontree import Json
from governance.stage import RefusedError
from governance.verdict import Decision, Verdict
from mcp_proxy import errors
from mcp_proxy.link import Event, Outlet, Reply, Suspending
from mcp_proxy.message import INVALID_REQUEST, MalformedMessageError, Message, RequestId
from mcp_proxy.missed import Kept, Missed, Shelf
from mcp_proxy.server_requests import Questions, Spawn

Notices: TypeAlias = Callable[[], "tuple[Message | None, bool]"]
"""What is to be told now, if anything, and whether nothing more will ever be."""


class Calls:
    """The open requests of one legacy client session. A modern request has one of its own: nothing is resumed there.

    Args:
        spawn: runs questions of the server in the background.
        missed: keeps the answers that the client missed.
    """

    def __init__(self, spawn: Spawn | None = None, missed: Shelf | None = None) -> None:
        self.questions = Questions(spawn)
        """What the server asks of this client."""
        self._open: dict[RequestId, Call] = {}
        self._missed = missed or Kept().shelf("")
        self.run: SessionRef | None = None
        """The run that the last governed call belonged to; messages with less evidence belong to it too."""
        self.followers: set[Callable[[SessionRef], None]] = set()
        """Told when `run` changes: what is open must end when that run is killed."""
        self.elicited: dict[str, str] = {}
        """Calls whose client was asked to open a page by an error, and their tickets (`mcp_proxy.ladder`)."""
        self.notices: list[Notices] = []
        """What the client is told of its tasks, on the server's own stream (2025-11-25)."""
        self._stirred: anyio.Event | None = None
        self.gives_tasks = False
        """Whether the server said in `initialize` that it makes tasks of calls (2025-11-25)."""

    async def announces(self) -> None:
        """Return once there is something that the client may have to be told on the server's own stream."""
        while not (self.elicited or self.notices):
            self._stirred = anyio.Event()
            await self._stirred.wait()

    def stir(self) -> None:
        """There is something now."""
        if self._stirred is not None:
            self._stirred.set()

    def belongs_to(self, run: SessionRef) -> None:
        """A governed call of this client session belongs to `run`."""
        if self.run is None or self.run.id != run.id:
            self.run = run
            for follow in list(self.followers):
                follow(run)

    def opened(self, message: Message, outlet: Outlet, *, governed: bool) -> "Call":
        """A context that holds one request while it is open.

        Raises:
            MalformedMessageError: the client uses the id of a request that is still open.
        """
        if message.is_request and message.id in self._open:
            raise MalformedMessageError("`id` is that of a request that is still open", code=INVALID_REQUEST)
        return Call(self, message, outlet, governed=governed)

    def call_off(self, message: Message) -> bool:
        """Take a client's `notifications/cancelled`. True if its call was not sent yet, and never will be."""
        request_id = message.params.get("requestId")
        call = self._open.get(request_id) if isinstance(request_id, str | int) else None
        if call is None or not call.governed or call.sent:
            return False
        call.call_off()
        return True

    async def replayed(self, event: Event) -> Event | None:
        """What may leave when `event` comes on the server's own stream: itself, the judged answer, or nothing."""
        message = event.message
        if message is None or not message.is_response or message.id is None:
            return event
        call = self._open.get(message.id)
        if call is not None:
            return await call.take(event)
        kept = self._missed.take(message.id)
        if kept is Missed.LOST:
            return Event(errors.kept_no_longer(message.id), event.event_id, event.retry)
        if kept is Missed.UNJUDGED:
            return event
        return None if kept is None else Event(kept, event.event_id, event.retry)

    def enter(self, call: "Call") -> None:
        """The call is open."""
        if call.message.id is not None and call.message.is_request:
            self._open[call.message.id] = call
            self._missed.forget(call.message.id)  # an old answer must not be taken for this call's

    def leave(self, call: "Call") -> None:
        """The call is closed; keep what the client missed."""
        request_id = call.message.id
        if request_id is None or not call.message.is_request:
            return  # the ids of the server's requests are numbers of its own, and may be equal
        self._open.pop(request_id, None)
        if call.missed is not None:
            self._missed.keep(request_id, call.missed.raw if call.governed else None)
        elif not call.governed and call.resumable and not call.answered:
            self._missed.keep(request_id, None)

    def close(self) -> None:
        """The client's session has ended."""
        self.questions.close()
        self._missed.close()


class Call:
    """One open request."""

    def __init__(self, book: Calls, message: Message, outlet: Outlet, *, governed: bool) -> None:
        self.message = message
        self.governed = governed
        self.resumable = False
        """Whether the server gave the stream places to resume from."""
        self.reply: Reply | None = None
        """What the server answers with; closed with the call, after the client has its answer."""
        self.held: anyio.CancelScope | None = None
        """Ends the waiting for a person, while there is any."""
        self.called_off = False
        """Whether the client gave the call up before it was sent: it must not be executed any more."""
        self.outlives: tuple[str, str] | None = None
        """The ticket, and its page, of a call that waits on although its client has gone."""
        self.sent = False
        """Whether it is on its way to the server, or was."""
        self.resumes: Json = None
        """`requestState` of an answer that was kept back because a person must decide about a question in it."""
        self.withheld = False
        """Whether the client got another answer than the server's, and no way to go on from it."""
        self._book = book
        self._outlet = outlet
        self._arrival: Event | None = None
        self._arrived: anyio.Event | None = None
        self._final: Event | None = None
        self._done: anyio.Event | None = None

    async def __aenter__(self) -> Self:
        self._book.enter(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._book.leave(self)
        if self._done is not None:
            self._done.set()
        if self.reply is None:
            return
        if kind is None and not self.withheld:
            await self.reply.aclose()
            return
        with anyio.CancelScope(shield=True):
            await self.reply.aclose()
            if isinstance(self.reply, Suspending):
                await self.reply.withdraw()

    @property
    def answered(self) -> bool:
        """Whether there was an answer, whoever got it."""
        return self._final is not None

    @property
    def missed(self) -> Message | None:
        """The answer that the client did not get."""
        if self._final is None or not self._outlet.gone or self._done is not None:
            return None
        return self._final.message

    def call_off(self) -> None:
        """The client does not want the call any more, which was not sent yet."""
        self.called_off = True
        if self.held is not None:
            self.held.cancel()

    def send(self) -> None:
        """It is about to be sent to the server.

        Raises:
            RefusedError: the client called it off meanwhile.
        """
        if self.called_off:
            reason = "the client called it off before it was sent"
            raise RefusedError(Verdict(Decision.DENY, by="guard", rule="client.left", reason=reason), "")
        self.sent = True

    async def put(self, event: Event) -> None:
        """Send on something that came before the answer."""
        if event.event_id is not None:
            self.resumable = True
        await self._outlet.put(event)

    async def answer(self, event: Event) -> None:
        """Send the answer, to whoever waits for it."""
        self._final = event
        if self._done is None:
            await self._outlet.put(event)

    async def resumed(self) -> Event:
        """The answer as it comes on another stream, after the call's own stream ended without it."""
        await self._outlet.end()
        self._arrived = anyio.Event()
        if self._arrival is None:
            await self._arrived.wait()
        if self._arrival is None:
            raise RuntimeError("woken without an answer")
        return self._arrival

    async def take(self, event: Event) -> Event | None:
        """Hand over an answer that came on another stream; returns the judged one."""
        if not self.governed:
            return event
        self._arrival = event
        self._done = self._done or anyio.Event()
        if self._arrived is not None:
            self._arrived.set()
        await self._done.wait()
        return None if self._final is None else Event(self._final.message, event.event_id, event.retry)
