"""An upstream MCP server that is a child process of ours and speaks on its standard streams.

Legacy: one child for each client session. Modern: one child for each principal, shared by its clients, or one for all
where the configuration says so. The process is `stdio_child.py`; which call a message belongs to is `switchboard.py`;
the side that faces an agent is `stdio_front.py`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import TypeAlias

import anyio

from governance.config.models import Limits
from governance.exchange import Principal
from mcp_proxy.link import NO_HEADERS, Era, LinkLostError, Reply, UpstreamError, UpstreamUnreachableError
from mcp_proxy.message import Message
from mcp_proxy.pulse import Pulse, Watched
from mcp_proxy.transports.piped import PipedLink
from mcp_proxy.transports.stdio_berth import Berth
from mcp_proxy.transports.stdio_child import Child, Program

log = logging.getLogger(__name__)

MOST_CHILDREN = 200
"""Most children of one server at a time, so that clients cannot fill the machine with processes."""
MOST_OF_ONE_KEY = 100
"""Most of them for clients with the same key, so that one key cannot shut out all others."""
IDLE_SECONDS = 300.0
"""How long a shared child is kept after its last user has left."""

RETRY_SECONDS = 0.1
"""Shortest pause before it is tried again to have a child stand ready."""

Owner: TypeAlias = tuple[str, str, str]
EVERYBODY: Owner = ("", "", "")
"""Owns the child of a server whose clients all share one."""


class ChildWire:
    """The wire of a link: a child's standard input. Each message is one write and one line.

    Args:
        child: The child.
        name: The server's name, for messages.
        patience: Seconds that a child may leave its input unread. Nothing more is written to it meanwhile, so that one
            that never reads can fill neither the memory nor a call's whole life.
    """

    def __init__(self, child: Child, name: str, patience: float) -> None:
        self.child = child
        self._name = name
        self._patience = patience

    async def write(self, raw: bytes) -> None:
        """Write one message.

        Raises:
            LinkLostError: the child has ended.
            UpstreamUnreachableError: it does not read, and the message was not written.
        """
        try:
            await self.child.drain(self._patience)
        except TimeoutError:
            deaf = f"server `{self._name}` has not read its input for {self._patience:g} seconds"
            raise UpstreamUnreachableError(deaf) from None
        self.child.write(_as_one_line(raw))

    def post(self, raw: bytes) -> None:
        """Write one message if the child still runs, and reads."""
        if not self.child.is_full:
            with contextlib.suppress(LinkLostError):
                self.child.write(_as_one_line(raw))

    async def close(self) -> None:
        """End the child and wait for it."""
        self.child.stop()
        with anyio.CancelScope(shield=True):
            await self.child.wait()


class StdioServer(Watched):
    """A configured upstream server that we start.

    Args:
        name: Its name in the configuration.
        program: What to run.
        limits: Largest message and longest silence.
        pulse: Remembers failures and says when it may be started again.
        alone: Whether there is only one client ever, so that nothing needs to be shared or rewritten.
        common: Whether all clients share one child, whoever they are.
    """

    transport = "stdio"

    def __init__(
        self, name: str, program: Program, *, limits: Limits, pulse: Pulse, alone: bool = False, common: bool = False
    ) -> None:
        self.name = name
        self.common = common
        self._program = program
        self._limits = limits
        self.pulse = pulse
        self._alone = alone
        self._links: dict[PipedLink, str] = {}
        """Whose child each is, by key id. One that was closed counts until its child has ended."""
        self._shared: dict[Owner, SharedChild] = {}
        self._berths: set[Berth] = set()
        """Of every child that has not ended yet, also of those that nobody is to have any more."""
        self._spare: Berth | None = None
        """Stands ready for the next session."""
        self._held: SharedLink | None = None
        """Keeps the child that all share from being idle."""
        self._stirred = anyio.Event()
        """Set when it must be looked again whether a child stands ready."""
        self._starting = anyio.Lock()
        self._closed = False
        self.exited = anyio.Event()
        """Set when a child has ended without being asked to."""
        self.exit_code = 0
        """Of the last child that ended, as `subprocess` has it."""

    async def open(self, principal: Principal, era: Era) -> "PipedLink | SharedLink":
        """A child of its own (legacy), or a share of the principal's child or everybody's (modern).

        Raises:
            UpstreamError: it cannot be started, or not yet again.
        """
        if self.common and era is Era.LEGACY:
            raise UpstreamUnreachableError(f"server `{self.name}` is shared, which older revisions do not allow")
        if era is Era.LEGACY or self._alone:
            return await self.start(era, principal.key_id, shared=False)
        owner = (principal.key_id, principal.tenant, principal.user)
        link = SharedLink(self._child_of(EVERYBODY if self.common else owner))
        try:
            await link.running()
        except BaseException:
            await link.close()
            raise
        return link

    async def keep_ready(self) -> None:
        """Have a child stand ready as long as the server is open, and another one when that is taken or ends.

        It is started again with the pause that failures ask for. Nothing is said to it: its first word is a client's.
        """
        while not self._closed:
            self._stirred = anyio.Event()
            with contextlib.suppress(UpstreamError):  # the pulse knows, and whoever comes next is told
                await self._prepare()
            with anyio.move_on_after(None if self.is_ready else max(RETRY_SECONDS, self.pulse.wait)):
                await self._stirred.wait()

    async def start(self, era: Era, key_id: str, *, shared: bool) -> PipedLink:
        """Start a child for clients with a key.

        Raises:
            UpstreamError: it cannot be started, or not yet again.
        """
        async with self._starting:
            if self._closed:
                raise UpstreamUnreachableError(f"server `{self.name}` is stopped")
            if self._spare is None:
                self.pulse.check()
            if len(self._links) >= MOST_CHILDREN:
                raise UpstreamUnreachableError(f"server `{self.name}` has {MOST_CHILDREN} sessions: close one")
            if sum(holder == key_id for holder in self._links.values()) >= MOST_OF_ONE_KEY:
                raise UpstreamUnreachableError(
                    f"server `{self.name}` has {MOST_OF_ONE_KEY} sessions with this key: close one"
                )
            return await self._start(era, key_id, shared=shared)

    async def aclose(self) -> None:
        """End every child and wait for all of them."""
        self._closed = True
        self._stirred.set()
        for shared in list(self._shared.values()):
            shared.forget()
        self._spare = None
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as group:
                for link in list(self._links):
                    group.start_soon(link.close)
                for berth in list(self._berths):
                    berth.child.stop()
                    group.start_soon(berth.child.wait)
        self.pulse.stopped()

    def send_signal(self, number: int) -> None:
        """Pass a signal to every child and what it started."""
        for link in self._links:
            if isinstance(link.wire, ChildWire):
                link.wire.child.send_signal(number)

    async def _start(self, era: Era, key_id: str, *, shared: bool) -> PipedLink:
        link = PipedLink(
            self.name,
            era,
            shared=shared,
            strangers=shared and self.common,
            max_bytes=self._limits.response_bytes,
            silence=self._limits.upstream_seconds,
        )
        spare, self._spare = self._spare, None
        self._stirred.set()
        berth = spare if spare is not None and spare.child.is_running else await self._board()
        link.wire = ChildWire(berth.child, self.name, self._limits.upstream_seconds)
        self._links[link] = key_id
        berth.serve(link)
        return link

    async def _board(self) -> Berth:
        """Start a child that serves nobody yet."""
        berth = Berth(self.pulse.started(), self.pulse.answered, self._gone)
        try:
            await berth.board(self.name, self._program, self._limits.response_bytes)
        except UpstreamError:
            self.pulse.failed("it cannot be started")
            raise
        self._berths.add(berth)
        return berth

    def _gone(self, berth: Berth, how: str) -> None:
        """A child has ended."""
        self._berths.discard(berth)
        link = berth.link
        asked = self._closed if link is None else link.is_lost
        if link is not None:
            link.lost(how)
            self._links.pop(link, None)
        if self._spare is berth:
            self._spare = None
        self.exit_code = berth.child.exit_code or 0
        if not asked:
            self.exited.set()
            log.warning("server %s has stopped: %s", self.name, how)
            self.pulse.ended(how, berth.began)
        self._stirred.set()

    @property
    def is_ready(self) -> bool:
        """Whether a child stands ready for whoever comes next."""
        return self._held.is_running if self._held is not None else self._spare is not None

    async def _prepare(self) -> None:
        if self.common:
            shared = self._child_of(EVERYBODY)
            if self._held is None or not self._held.is_of(shared):
                if self._held is not None:
                    await self._held.close()
                self._held = SharedLink(shared)
            await shared.running()
            return
        async with self._starting:
            if self._spare is None and not self._closed and len(self._links) < MOST_CHILDREN:
                self.pulse.check()
                self._spare = await self._board()

    def _child_of(self, owner: Owner) -> "SharedChild":
        known = self._shared.get(owner)
        if known is not None:
            return known

        def forget() -> None:
            if self._shared.get(owner) is shared:
                del self._shared[owner]

        shared = self._shared[owner] = SharedChild(self, owner[0], forget)
        return shared


class SharedChild:
    """The child of one principal, started when it is needed, ended when it has not been for a while."""

    def __init__(self, server: StdioServer, key_id: str, on_forget: Callable[[], object]) -> None:
        self._server = server
        self._key_id = key_id
        self._on_forget = on_forget
        self._link: PipedLink | None = None
        self._users = 0
        self._idle: asyncio.TimerHandle | None = None
        self._retired = False
        self._lock = anyio.Lock()

    @property
    def is_running(self) -> bool:
        """Whether the child runs."""
        return self._link is not None and not self._link.is_lost

    async def running(self) -> PipedLink:
        """The link to the child, which is started again if it has ended.

        Raises:
            UpstreamError: it cannot be started, or not yet again.
        """
        if self._link is not None and not self._link.is_lost:
            return self._link
        async with self._lock:
            if self._link is None or self._link.is_lost:
                self._link = await self._server.start(Era.MODERN, self._key_id, shared=True)
            return self._link

    def enter(self) -> None:
        """Somebody uses it."""
        self._users += 1
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def leave(self) -> None:
        """Somebody does not use it any more."""
        self._users -= 1
        if self._users == 0 and self._retired:
            self.retire("nobody uses it any more")  # its last users may have had it started once more
        elif self._users == 0:
            self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self.retire, "it was idle")

    def forget(self) -> None:
        """No further use."""
        if self._idle is not None:
            self._idle.cancel()
        self._on_forget()

    def retire(self, why: str) -> None:
        """End the child: the next user gets another one."""
        self._retired = True
        self.forget()
        if self._link is not None and isinstance(self._link.wire, ChildWire):
            self._link.lost(why)
            self._link.wire.child.stop()


class SharedLink:
    """One user's share of a shared child."""

    stateful = False

    def __init__(self, shared: SharedChild) -> None:
        self._shared = shared
        self._closed = False
        shared.enter()

    @property
    def is_running(self) -> bool:
        """Whether the child runs."""
        return self._shared.is_running

    def is_of(self, shared: SharedChild) -> bool:
        """Whether it is a share of this child."""
        return self._shared is shared

    async def running(self) -> PipedLink:
        """The link to the child, which is started again if it has ended; see `SharedChild.running`."""
        return await self._shared.running()

    async def send(self, message: Message, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        """Deliver one message; see `Link.send`.

        Raises:
            UpstreamError: the message cannot be delivered.
        """
        return await (await self._shared.running()).send(message, headers)

    async def listen(self, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        """There is no such stream in the modern era; see `Link.listen`."""
        return await (await self._shared.running()).listen(headers)

    def retire(self, why: str) -> None:
        """The child turned out to be of no use; it ends."""
        self._shared.retire(why)

    async def close(self) -> None:
        """Give the share back; see `Link.close`."""
        if not self._closed:
            self._closed = True
            self._shared.leave()


def _as_one_line(raw: bytes) -> bytes:
    """`raw` without line ends. Valid JSON has them only between tokens, so each may become a space."""
    if b"\n" in raw or b"\r" in raw:
        return raw.replace(b"\n", b" ").replace(b"\r", b" ")
    return raw
