"""Brings approvals to clients: the ladder with the desk behind it.

What is chosen and how it looks on the wire is `ladder.py`. Here the desk is asked: whether the person at the client may
decide, what came of that, and when a page that a client was asked to open has served. Nothing is judged here; every
leg takes the whole pipeline (`relay.py`).
"""

import contextlib
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from typing import Protocol

import anyio

from approvals.shelf import Decided
from approvals.ticket import State, Ticket
from governance import jsontree
from governance.clock import Clock
from governance.exchange import Exchange
from governance.policy.glob import Globs
from governance.stage import RefusedError
from mcp_proxy.attendance import PROGRESS_SECONDS
from mcp_proxy.calls import Calls
from mcp_proxy.errors import VERDICT_KEY, Answer, told
from mcp_proxy.gate import Route
from mcp_proxy.ladder import Choice, Ladder, Leg, Rung, choice_of
from mcp_proxy.lens import Caller
from mcp_proxy.link import Era, Event, Outlet
from mcp_proxy.message import Message, result_of
from mcp_proxy.tasks.book import TaskBook
from mcp_proxy.tasks.ids import STATUS, gives_tasks
from mcp_proxy.tasks.task import EXTENSION, Task

log = logging.getLogger(__name__)

ANNOUNCE_SECONDS = 0.5
"""How soon a client hears that its page has served."""
MOST_ELICITED = 100
"""Calls of one session that are remembered for that; the oldest is forgotten."""
MOST_EXPECTED = 10_000
"""Tickets for which clients may come back that are remembered; the oldest is forgotten."""


class Tickets(Protocol):
    """Where held calls wait (`approvals.desk.Desk`)."""

    async def get(self, ticket_id: str) -> Ticket | None:
        """A ticket by its id."""
        ...

    async def approve(self, ticket_id: str, *, by: str, reason: str = "") -> Decided | None:
        """Allow a call once."""
        ...

    async def deny(self, ticket_id: str, *, by: str, reason: str = "") -> Decided | None:
        """Refuse a call."""
        ...

    async def withdraw(self, ticket_id: str, *, by: str, reason: str) -> bool:
        """Close a ticket that nobody wants any more."""
        ...

    def waiters(self, ticket_id: str) -> int:
        """How many calls of this process wait for a ticket right now."""
        ...


@dataclass(frozen=True)
class Delivery:
    """The ladder with the desk behind it."""

    ladder: Ladder
    tickets: Tickets
    clock: Clock
    in_band: tuple[str, ...] = ()
    """Globs of the rules whose calls the person at the client may decide; none = never. Whoever writes the client can
    answer for that person."""
    announce_seconds: float = ANNOUNCE_SECONDS
    progress_seconds: float = PROGRESS_SECONDS
    """How often a client that waits is told so, if it asked for progress."""
    tasks: TaskBook | None = None
    """The tasks that clients are given; none = they never are."""
    _expected: dict[str, None] = field(default_factory=dict[str, None])
    """Tickets for which clients were told to come back, oldest first."""

    def leg(self, message: Message, caller: Caller, calls: Calls) -> Leg:
        """Read a governed request.

        Raises:
            MalformedMessageError: its `requestState` looks like ours and is not good for this request.
        """
        ladder = self.ladder if self._offers_tasks == self.ladder.tasks else replace(self.ladder, tasks=False)
        return ladder.leg(message, caller, self.clock.now(), calls.elicited, gives_tasks=calls.gives_tasks)

    async def answer(self, error: Exception, leg: Leg, caller: Caller, route: Route) -> Answer | None:
        """What the client is told about a call that must wait on; None where it is told as any refusal is.

        Args:
            error: what went wrong.
            leg: the request.
            caller: who sent it.
            route: what it travels by.
        """
        if not isinstance(error, RefusedError) or not error.ticket:
            return None
        calls = route.calls
        if leg.rung_for(error.ticket) is Rung.TASK:
            task = None if leg.question else await self._task(error, leg, caller, route)
            if task is not None:
                return Answer(200, task)
            leg = self.ladder.without_task(leg, caller.era)
        self._expect(error.ticket)
        if Rung.FORM in (leg.rung, leg.asks) and not await self._may_decide(error.ticket):
            leg = self.ladder.out_of_band(leg)
        message = self.ladder.answer(error, leg, caller, self.clock.now())
        if message is None:
            return None
        if leg.rung is Rung.URL_ERROR:
            calls.elicited[leg.bound] = error.ticket
            calls.stir()
            if len(calls.elicited) > MOST_ELICITED:
                del calls.elicited[next(iter(calls.elicited))]
        return Answer(200, message)

    def expects(self, ticket_id: str) -> bool:
        """Whether a client was told to come back for a ticket: it would find it closed by another's cancelling."""
        return ticket_id in self._expected

    def _expect(self, ticket_id: str) -> None:
        self._expected[ticket_id] = None
        if len(self._expected) > MOST_EXPECTED:
            del self._expected[next(iter(self._expected))]

    def introduced(self, asked: Message, message: Message, calls: Calls) -> Message:
        """The answer to what is not governed. One to `server/discover` has tasks among what its clients may be given.

        Of one to `initialize` it is remembered whether the server makes tasks: its client may ask for one then.
        """
        if asked.method == "initialize":
            calls.gives_tasks = gives_tasks(result_of(message))
        if asked.method != "server/discover":
            return message
        result = result_of(message)
        if not self._offers_tasks or "capabilities" not in result:
            return message
        capabilities = jsontree.as_object(result["capabilities"])
        extensions = jsontree.as_object(capabilities.get("extensions"))
        if EXTENSION in extensions:
            return message
        said: jsontree.JsonObject = {**capabilities, "extensions": {**extensions, EXTENSION: {}}}
        return Message.build({**message.value, "result": {**result, "capabilities": said}})

    async def chosen(self, ticket_id: str, answer: jsontree.JsonObject, exchange: Exchange) -> None:
        """Take an answer to what a task asked: a form may decide, a page was only opened."""
        choice = choice_of(answer.get("content")) if answer.get("action") == "accept" else None
        if choice is not None:
            await self._choose(ticket_id, choice, exchange)

    async def decide(self, leg: Leg, exchange: Exchange) -> None:
        """Take what the person at the client chose, if it is that person's to choose.

        That the choice is about this very call was settled when its state was opened (`sealing.py`). It counts for
        nothing where the ticket is of another run or another caller, or a rule must be decided elsewhere.
        """
        if leg.choice is not None:
            await self._choose(leg.ticket, leg.choice, exchange)

    async def _choose(self, ticket_id: str, choice: Choice, exchange: Exchange) -> None:
        ticket = await self._ticket(ticket_id)
        if ticket is None or not ticket.intact() or not self._in_band(ticket):
            return
        principal = exchange.principal
        asker = jsontree.as_object(ticket.bound.get("principal"))
        if (asker.get("key_id"), asker.get("user"), ticket.field("session")) != (
            principal.key_id,
            principal.user,
            exchange.session.id,
        ):
            return
        decide = self.tickets.approve if choice.approve else self.tickets.deny
        try:
            await decide(ticket_id, by=f"in-band:{principal.user or principal.key_id}", reason=choice.reason)
        except Exception:
            log.exception("what the person at the client chose could not be kept, so ticket %s waits on", ticket_id)

    @contextlib.asynccontextmanager
    async def announcing(self, calls: Calls, outlet: Outlet) -> AsyncGenerator[None]:
        """While the block is open, tell a legacy client of its tasks, and when a page that it opened has served."""
        if not self.ladder.url_errors and not self._offers_tasks:
            yield
            return
        failure: Exception | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self._announce, calls, outlet)
            try:
                yield
            except Exception as error:  # noqa: BLE001 - raised again outside of the group, which would wrap it
                failure = error
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _announce(self, calls: Calls, outlet: Outlet) -> None:
        while True:
            await calls.announces()
            await anyio.sleep(self.announce_seconds)
            for tell in list(calls.notices):
                notice, is_last = tell()
                if is_last:
                    calls.notices.remove(tell)
                if notice is not None:
                    await outlet.put(Event(notice))
            for bound, ticket_id in list(calls.elicited.items()):
                ticket = await self._ticket(ticket_id)
                if ticket is not None and ticket.state is not State.PENDING:
                    calls.elicited.pop(bound, None)
                    await outlet.put(Event(_complete(ticket_id)))

    @property
    def _offers_tasks(self) -> bool:
        """Whether tasks are given, and somebody is there to make their calls."""
        return self.ladder.tasks and self.tasks is not None and self.tasks.spawn is not None

    async def _task(self, error: RefusedError, leg: Leg, caller: Caller, route: Route) -> Message | None:
        """The task that the client is given; None where none can be made, or nobody is there to make its call."""
        run, is_legacy = route.calls.run, caller.era is Era.LEGACY
        if self.tasks is None or run is None:
            return None
        # In 2025-11-25 a question within a task would be a request on a stream; there the page stands in the status.
        asks = {} if is_legacy else self.ladder.asked_in_task(error, leg, in_band=await self._may_decide(error.ticket))
        waits_for, via = (error.ticket, error.link), route.link if is_legacy else None
        task = self.tasks.open(leg.message, caller, run, route.headers, waits_for, asks, via)
        if task is None:
            return None
        about: jsontree.JsonObject = {VERDICT_KEY: told(error)}
        if is_legacy:
            route.calls.notices.append(_StatusOf(task, self.tasks))
            route.calls.stir()
            made: jsontree.JsonObject = {"task": task.told_legacy(), "_meta": about}
            return Message.build({"jsonrpc": "2.0", "id": leg.message.id, "result": made})
        view = task.told()
        view.pop("inputRequests", None)  # told with `tasks/get` only
        result: jsontree.JsonObject = {"resultType": "task", **view, "_meta": about}
        return Message.build({"jsonrpc": "2.0", "id": leg.message.id, "result": result})

    async def _may_decide(self, ticket_id: str) -> bool:
        ticket = await self._ticket(ticket_id) if self.in_band else None
        return ticket is not None and self._in_band(ticket)

    def _in_band(self, ticket: Ticket) -> bool:
        """Whether the person at the client may decide. Never where a rule says who may: nobody knows who that is."""
        return Globs(self.in_band).match(ticket.rule) and not ticket.charters

    async def _ticket(self, ticket_id: str) -> Ticket | None:
        """The ticket; none where it cannot be read, so that nothing is decided by it."""
        try:
            return await self.tickets.get(ticket_id)
        except Exception:
            log.exception("ticket %s cannot be read", ticket_id)
            return None


class _StatusOf:
    """Tells a client of 2025-11-25 how its task stands, whenever that changes; of a server's task the server does."""

    def __init__(self, task: Task, book: TaskBook) -> None:
        self._task = task
        self._book = book
        self._last = task.told_apart

    def __call__(self) -> tuple[Message | None, bool]:
        """What is to be told now, and whether that is the last of it."""
        task, told_apart = self._task, self._task.told_apart
        if task.theirs or told_apart == self._last:
            return None, bool(task.theirs) or not self._book.has(task)
        self._last = told_apart
        return Message.build({"jsonrpc": "2.0", "method": STATUS, "params": task.told_legacy()}), task.ended


def _complete(ticket_id: str) -> Message:
    """The notification of 2025-11-25 that a page has served."""
    params: jsontree.JsonObject = {"elicitationId": ticket_id}
    return Message.build({"jsonrpc": "2.0", "method": "notifications/elicitation/complete", "params": params})
