"""Makes the calls of tasks: each waits for its person, is judged anew, and is made once, or not at all.

A call whose client is gone is not made: it missed `GONE_AFTER_POLLS` polls. If it comes back while the approval is
still good, its call is made then. What holds for every governed call holds here, because the relay carries it.
"""

import contextlib
import logging
import math
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from approvals.ticket import OPEN, Ticket
from governance import jsontree
from governance.clock import Clock
from governance.jsontree import JsonObject
from governance.stage import RefusedError
from governance.verdict import Decision, Verdict
from mcp_proxy import errors
from mcp_proxy.calls import Call
from mcp_proxy.link import Era, Event, Link, Reply, Server, Suspending, UpstreamError
from mcp_proxy.message import Message, result_of
from mcp_proxy.tasks.book import TaskBook
from mcp_proxy.tasks.ids import created
from mcp_proxy.tasks.task import POLL_SECONDS, Task
from mcp_proxy.tasks.theirs import Theirs

log = logging.getLogger(__name__)

MOST_ROUNDS = 10
"""How often a server may ask for input before it answers, as in any other call of this revision."""
CANCEL_SECONDS = 10.0
"""How long a server may take to be told that a task of its own is wanted no more."""
CLIENT_LEFT = "client.left"
"""The rule by which a call is refused whose client is gone (`pipeline.passage`)."""


class Making(Protocol):
    """Carries the call of a task (`mcp_proxy.relay.Relay`)."""

    async def make(self, task: Task, link: Link, outlet: "Listener", attendant: "TaskAttendant") -> Message:
        """Judge a task's call, let it wait for its person, and make it; returns the judged answer."""
        ...


class Asked(Protocol):
    """Where tickets are looked up (`approvals.desk.Desk`)."""

    async def get(self, ticket_id: str) -> Ticket | None:
        """A ticket by its id."""
        ...


class Listener:
    """Takes what comes before the answer: tasks know no progress and no log messages, so nothing of it is kept."""

    gone = False

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Nobody waits for a status."""

    async def put(self, event: Event) -> None:
        """Nobody hears it."""

    async def end(self) -> None:
        """There is no stream."""


class TaskAttendant:
    """Waits with a task (`approvals.attendance.Attendance`): for as long as its ticket is open."""

    seconds: float | None = math.inf

    def __init__(self, task: Task, clock: Clock) -> None:
        self._task = task
        self._clock = clock

    def attends(self, call: Call) -> None:
        """The call that is held, or made, for the task now. A task that was cancelled makes none."""
        self._task.call = call
        if self._task.cancelled:
            call.call_off()

    @property
    def present(self) -> bool:
        """Whether its client still asks for it, or need not."""
        task = self._task
        return not task.cancelled and (task.detached or not task.silent(self._clock.monotonic()))

    async def objection(self) -> Verdict | None:
        """Nothing else stands in the way; see `Attendance.objection`."""
        return None

    def for_questions(self) -> "TaskAttendant":
        """See `Attending.for_questions`."""
        return _ForQuestions(self._task, self._clock)

    @contextlib.asynccontextmanager
    async def waiting(self, ticket_id: str, link: str, *, detached: bool) -> AsyncGenerator[None]:
        """The ticket may be another than before, where the rules have changed or the server asked something.

        What the client was asked is about one ticket only, and of no use once that was decided. A task that is
        cancelled waits no longer, although its ticket may stay open for another call.
        """
        task = self._task
        task.ticket, task.link, task.detached = ticket_id, link, detached
        task.waits[ticket_id] = link
        if task.asked_about != ticket_id:
            task.asks = {}
        with anyio.CancelScope() as scope:
            if task.call is not None:
                task.call.held = scope
            try:
                yield
            finally:
                task.waits.pop(ticket_id, None)
                task.asks = {}
                if task.call is not None:
                    task.call.held = None


class _ForQuestions(TaskAttendant):
    """Waits with the questions of the server in a task. They are kept for its client, so that it need not be there."""

    @property
    def present(self) -> bool:
        """Whether the task is not cancelled."""
        return not self._task.cancelled

    @contextlib.asynccontextmanager
    async def waiting(self, ticket_id: str, link: str, *, detached: bool) -> AsyncGenerator[None]:
        """The task goes by the ticket of its call; those of questions are only waited for."""
        self._task.waits[ticket_id] = link
        try:
            yield
        finally:
            self._task.waits.pop(ticket_id, None)


@dataclass(frozen=True)
class Runner:
    """Makes the calls of all tasks of one process."""

    book: TaskBook
    tickets: Asked
    relay: Making
    servers: Mapping[str, Server]
    clock: Clock

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Take tasks while the block is open; afterwards none of their calls is under way."""
        async with anyio.create_task_group() as group:
            self.book.spawn = lambda task: self._start(group, task)
            self.book.theirs.cancel = lambda made: group.start_soon(self._call_off, made)
            try:
                yield
            finally:
                self.book.spawn = self.book.theirs.cancel = None
                group.cancel_scope.cancel()

    def _start(self, group: TaskGroup, task: Task) -> None:
        group.start_soon(self._live, task)

    async def _live(self, task: Task) -> None:
        """Everything that becomes of one task. Whatever fails is its answer, and ends no other task."""
        with task.scope:
            try:
                await self._play(task)
            except Exception as error:
                log.exception("server %s: the call of a task could not be made", task.caller.server)
                task.answer = _told(error, task)
            task.asks = {}
            task.changed(self.clock.now())
        if task.unknown:
            self.book.forget(task)
        self.book.sweep()

    async def _play(self, task: Task) -> None:
        """Make the call, and again with the client's answers where the server asks something."""
        for turn in range(MOST_ROUNDS + 1):
            answer = await self._answer(task)
            result, reply = result_of(answer), task.call.reply if task.call is not None else None
            if task.unknown:  # nobody can answer, or ask
                await _give_up(reply)
                return
            if made := created(task.message, answer):
                task.theirs, task.call = made, None
                return
            if result.get("resultType") != "input_required":
                task.answer = answer
                return
            await self._asked(task, turn, result, reply)
            if task.cancelled:
                return
        task.answer = _told(_endless(), task)

    async def _answer(self, task: Task) -> Message:
        """What the call is answered with, once its client was there when it could be made."""
        while True:
            try:
                return await self._made(task)
            except RefusedError as error:
                if error.verdict.rule != CLIENT_LEFT or task.cancelled or task.unknown or task.sent:
                    return _told(error, task)
            except UpstreamError as error:
                return _told(error, task)
            if task.silent(self.clock.monotonic()):
                await task.stirred.wait()
            ticket = await self.tickets.get(task.ticket)
            if ticket is None or ticket.state not in OPEN or ticket.overdue(self.clock.now()):
                return _told(_late(), task)

    async def _made(self, task: Task) -> Message:
        if task.via is not None:
            return await self.relay.make(task, task.via, Listener(), TaskAttendant(task, self.clock))
        link = await self.servers[task.caller.server].open(task.caller.principal, Era.MODERN)
        try:
            return await self.relay.make(task, link, Listener(), TaskAttendant(task, self.clock))
        finally:
            with anyio.CancelScope(shield=True):
                await link.close()

    async def _call_off(self, made: Theirs) -> None:
        """Cancel a task that a server made. Nothing may come out of here: it is nobody's child."""
        message, headers = made.cancelling()
        link = made.link
        try:
            with anyio.move_on_after(CANCEL_SECONDS):
                link = made.link or await self.servers[made.server].open(made.principal, Era.MODERN)
                await (await link.send(message, headers)).aclose()
        except UpstreamError as error:
            log.info("server %s: a task of a run that was stopped is not cancelled: %s", made.server, error)
        except Exception:
            log.exception("server %s: a task of a run that was stopped could not be cancelled", made.server)
        finally:
            if link is not None and link is not made.link:
                with anyio.CancelScope(shield=True):
                    await link.close()

    async def _asked(self, task: Task, turn: int, result: JsonObject, reply: Reply | None) -> None:
        """Let the client answer what the server asks, and make of it the call that goes on.

        A server that waits for answers is told when none will come. The keys are new in each round: one key may never
        mean two questions of one task.
        """
        questions = jsontree.as_object(result.get("inputRequests"))
        task.asks = {f"{turn}/{key}": one for key, one in questions.items()}
        task.answers, task.call = {}, None
        task.changed(self.clock.now())
        try:
            while task.asks:
                await task.stirred.wait()
        finally:
            if task.asks or task.cancelled:
                await _give_up(reply)
        if not questions:
            await anyio.sleep(POLL_SECONDS)
        params = {name: one for name, one in task.message.params.items() if name not in _OF_ROUNDS}
        if answers := {key.partition("/")[2]: one for key, one in task.answers.items()}:
            params["inputResponses"] = answers
        if (state := result.get("requestState")) is not None:
            params["requestState"] = state
        task.message = Message.build({**task.message.value, "params": params})


def _told(error: Exception, task: Task) -> Message:
    """What the client has instead of the call's own result: a tool result, as models read those."""
    params = {name: one for name, one in task.message.params.items() if name != "task"}
    call = Message.build({**task.message.value, "params": params})
    return errors.answer(error, call, task.caller.era).message


async def _give_up(reply: Reply | None) -> None:
    """Cancel a call that waits at the server for answers."""
    if isinstance(reply, Suspending):
        with anyio.CancelScope(shield=True):
            await reply.withdraw()


_OF_ROUNDS = ("inputResponses", "requestState")


def _late() -> RefusedError:
    reason = "the approval ran out while nobody asked for the task: make the call again"
    return RefusedError(Verdict(Decision.DENY, by="approval", rule="approval.expired", reason=reason), "")


def _endless() -> RefusedError:
    reason = f"the server asked for input {MOST_ROUNDS} times without an answer"
    return RefusedError(Verdict(Decision.DENY, by="guard", rule="task.rounds", reason=reason), "")
