"""Where the servers behind the aggregate put what they send: mapped, and in turn, into the client's one outlet."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import anyio

from mcp_proxy.aggregate_session import Bundle
from mcp_proxy.lens import Caller
from mcp_proxy.link import NO_HEADERS, Era, Event, Outlet
from mcp_proxy.message import Message


@dataclass(frozen=True)
class Talk:
    """One client message on its way: who sent it, and where its answers go."""

    message: Message | None
    """None for the stream of the servers' own messages."""
    bundle: Bundle
    caller: Caller
    outlet: Outlet
    headers: Mapping[str, str]
    servers: tuple[str, ...]
    """Those that the caller may reach, in order."""
    lock: anyio.Lock = field(default_factory=anyio.Lock)

    async def put(self, event: Event) -> None:
        """Send the client one event. Its place in a server's stream is left out: places of two would be mixed up."""
        async with self.lock:
            await self.outlet.put(replace(event, event_id=None, retry=None))


class MemberOutlet:
    """Takes what one server sends for one client message, and passes it on as it comes.

    Args:
        talk: the client message.
        server: the server's name.
    """

    def __init__(self, talk: Talk, server: str) -> None:
        self.talk = talk
        self.server = server
        self.status = 200
        self.place: str | None = None
        """The last place in the server's stream."""
        self.pause = 0.0
        """Seconds after which the server wants a lost stream resumed."""
        self.answered = anyio.Event()
        self.resume: Callable[[], object] | None = None
        """Starts to fetch an answer whose server ended the stream before it."""
        self.is_resuming = False

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Pass on the status, but not that one server's session is lost: the client's is not."""
        self.status = status
        if self.is_resuming:
            return
        shown = 200 if status == 404 and self.talk.bundle.era is Era.LEGACY else status
        await self.talk.outlet.begin(shown, headers)

    async def put(self, event: Event) -> None:
        """Pass on one event."""
        self._note(event)
        message = event.message
        if message is None:
            return
        if message.is_response:
            await self.respond(message)
        elif (mapped := self.talk.bundle.to_client(message, self.server)) is not None:
            await self.talk.put(Event(mapped))

    async def respond(self, message: Message) -> None:
        """The answer, judged."""
        await self.talk.put(Event(message))
        self.answered.set()

    async def end(self) -> None:
        """The answer will come on another stream of the server's. The client's own stays open for it."""
        if self.resume is not None and not self.is_resuming:
            self.is_resuming = True
            self.resume()

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        return self.talk.outlet.gone

    def _note(self, event: Event) -> None:
        self.place = self.place if event.event_id is None else event.event_id
        self.pause = self.pause if event.retry is None else event.retry / 1000


class AskingOutlet(MemberOutlet):
    """For a request of ours on the client's behalf: keeps the answer, passes on the rest."""

    answer: Message | None = None

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """The client's status is decided when all servers have answered."""
        self.status = status

    async def respond(self, message: Message) -> None:
        """Keep the answer."""
        self.answer = message
        self.answered.set()


class StreamOutlet(MemberOutlet):
    """For what a server says of its own accord: the client's stream was begun already, and ends with no server's."""

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Only remembered."""
        self.status = status

    async def respond(self, message: Message) -> None:
        """An answer that the client missed. An error about nothing is no concern of the client's."""
        if message.id is not None:
            await super().respond(message)


class QuietOutlet(MemberOutlet):
    """For notifications and answers of the client: nothing comes back."""

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Only remembered."""
        self.status = status

    async def respond(self, message: Message) -> None:
        """Nobody asked."""


async def accept(talk: Talk) -> None:
    """Tell the client that its notification or answer was taken."""
    await talk.outlet.begin(202, NO_HEADERS)
